// The durable half of the store: one SQLite file in WAL mode, one writer, prepared statements.
import { existsSync, mkdirSync, openSync, closeSync, fdatasync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** One object as it lies in the database. `revision` is the object's resourceVersion. */
export interface Row {
  resource: string;
  namespace: string;
  name: string;
  revision: number;
  body: string;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    revision INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (resource, namespace, name)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS revision (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
  INSERT OR IGNORE INTO revision VALUES (1, 1);
`;

/**
 * Writes reach the operating system before `put` and `remove` return, so a killed process loses nothing. `durable()`
 * resolves when they have reached the disk as well: one fdatasync serves every write made before it started, and it
 * runs off the event loop, which `synchronous=FULL` would block.
 */
export class Database {
  readonly #sqlite: DatabaseSync;
  readonly #put;
  readonly #remove;
  readonly #advance;
  readonly #log: number;
  #syncing: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #closed = false;

  constructor(file: string) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Secrets lie in it: made readable by its owner only, and SQLite gives its log the same mode.
    closeSync(openSync(file, 'a', 0o600));
    this.#sqlite = new DatabaseSync(file);
    this.#sqlite.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA locking_mode=EXCLUSIVE');
    this.#sqlite.exec(SCHEMA);
    this.#put = this.#sqlite.prepare('INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)');
    this.#remove = this.#sqlite.prepare('DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?');
    this.#advance = this.#sqlite.prepare('UPDATE revision SET value = ? WHERE id = 1');
    // SQLite makes the log with the first write; an idle write makes sure that it is there to be synced.
    if (!existsSync(`${file}-wal`)) this.#sqlite.exec('UPDATE revision SET value = value WHERE id = 1');
    this.#log = openSync(`${file}-wal`, 'r+');
  }

  /** The highest revision ever given out. */
  revision(): number {
    const row = this.#sqlite.prepare('SELECT value FROM revision WHERE id = 1').get();
    const highest = this.#sqlite.prepare('SELECT max(revision) AS value FROM objects').get();
    return Math.max(Number(row?.['value'] ?? 1), Number(highest?.['value'] ?? 1));
  }

  *rows(): Iterable<Row> {
    for (const row of this.#sqlite.prepare('SELECT * FROM objects').iterate()) yield row as unknown as Row;
  }

  put(row: Row): void {
    this.#put.run(row.resource, row.namespace, row.name, row.revision, row.body);
  }

  /** Removes a row and keeps its deletion's revision, so that revisions never run backwards after a restart. */
  remove(resource: string, namespace: string, name: string, revision: number): void {
    this.#sqlite.exec('BEGIN');
    try {
      this.#remove.run(resource, namespace, name);
      this.#advance.run(revision);
      this.#sqlite.exec('COMMIT');
    } catch (error) {
      this.#sqlite.exec('ROLLBACK');
      throw error;
    }
  }

  /** Resolves when everything written so far is on the disk. */
  durable(): Promise<void> {
    if (this.#syncing === undefined) return (this.#syncing = this.#sync());
    this.#next ??= this.#syncing.then(() => {
      this.#next = undefined;
      return (this.#syncing = this.#sync());
    });
    return this.#next;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#next;
    await this.#syncing;
    closeSync(this.#log);
    this.#sqlite.close();
  }

  #sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#log, (error) => {
        this.#syncing = undefined;
        if (error) reject(error);
        else resolve();
      });
    });
  }
}
