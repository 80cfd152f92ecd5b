// A certificate authority of our own: makes key pairs and signs certificates for servers and clients.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIP, isIPv4 } from 'node:net';
import { bitString, boolean, integer, octetString, oid, pem, sequence, set, time, tlv, utf8 } from './der.ts';

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  cert: string;
  key: string;
}

const DAY_MS = 86_400_000;
const CA_DAYS = 3650;
const LEAF_DAYS = 365;
/** A certificate with less than this left is replaced at start. */
const RENEW_BEFORE_DAYS = 60;

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const COMMON_NAME = '2.5.4.3';
const ORGANIZATION = '2.5.4.10';
const SUBJECT_KEY_ID = '2.5.29.14';
const KEY_USAGE = '2.5.29.15';
const ALTERNATIVE_NAME = '2.5.29.17';
const BASIC_CONSTRAINTS = '2.5.29.19';
const AUTHORITY_KEY_ID = '2.5.29.35';
const EXTENDED_KEY_USAGE = '2.5.29.37';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

type Name = [attribute: string, value: string][];

interface Request {
  subject: Name;
  days: number;
  key: KeyObject;
  extensions: Buffer[];
}

export class Authority {
  readonly #pair: KeyPair;
  readonly #name: Name;
  readonly #key: KeyObject;

  private constructor(pair: KeyPair, name: Name, key: KeyObject) {
    this.#pair = pair;
    this.#name = name;
    this.#key = key;
  }

  static create(commonName: string): Authority {
    const key = generateKey();
    const name: Name = [[COMMON_NAME, commonName]];
    const extensions = [
      extension(BASIC_CONSTRAINTS, sequence(boolean(true)), true),
      // keyCertSign and cRLSign: bits 5 and 6.
      extension(KEY_USAGE, bitString(Buffer.from([0x06]), 1), true),
      extension(SUBJECT_KEY_ID, octetString(keyId(key))),
    ];
    const cert = certificate({ subject: name, days: CA_DAYS, key, extensions }, name, key);
    return new Authority({ cert, key: exportKey(key) }, name, key);
  }

  static load(pair: KeyPair): Authority {
    const commonName = /^CN=(.*)$/m.exec(new X509Certificate(pair.cert).subject)?.[1] ?? '';
    return new Authority(pair, [[COMMON_NAME, commonName]], createPrivateKey(pair.key));
  }

  /** The CA's own certificate and key, PEM. */
  get pair(): KeyPair {
    return this.#pair;
  }

  get cert(): string {
    return this.#pair.cert;
  }

  /** A server's certificate for these host names and IP addresses. */
  issueServer(commonName: string, hosts: string[]): KeyPair {
    const names = hosts.map((host) =>
      isIP(host) === 0 ? tlv(0x82, Buffer.from(host)) : tlv(0x87, addressBytes(host)),
    );
    return this.#issue([[COMMON_NAME, commonName]], SERVER_AUTH, [extension(ALTERNATIVE_NAME, sequence(...names))]);
  }

  /** A client's certificate: the API server reads the user from CN and the groups from O. */
  issueClient(user: string, groups: string[]): KeyPair {
    const organizations = groups.map((group): [string, string] => [ORGANIZATION, group]);
    return this.#issue([...organizations, [COMMON_NAME, user]], CLIENT_AUTH, []);
  }

  #issue(subject: Name, usage: string, extras: Buffer[]): KeyPair {
    const key = generateKey();
    const extensions = [
      extension(BASIC_CONSTRAINTS, sequence(), true),
      // digitalSignature: bit 0.
      extension(KEY_USAGE, bitString(Buffer.from([0x80]), 7), true),
      extension(EXTENDED_KEY_USAGE, sequence(oid(usage))),
      extension(AUTHORITY_KEY_ID, sequence(tlv(0x80, keyId(this.#key)))),
      ...extras,
    ];
    const cert = certificate({ subject, days: LEAF_DAYS, key, extensions }, this.#name, this.#key);
    return { cert, key: exportKey(key) };
  }
}

/** True where a certificate fits its key, is signed by `ca` and is not about to expire. */
export function isFresh({ cert, key }: KeyPair, ca: string): boolean {
  const certificate = new X509Certificate(cert);
  if (!certificate.checkPrivateKey(createPrivateKey(key))) return false;
  const left = certificate.validToDate.getTime() - Date.now();
  return left > RENEW_BEFORE_DAYS * DAY_MS && certificate.verify(new X509Certificate(ca).publicKey);
}

function certificate(request: Request, issuer: Name, signer: KeyObject): string {
  // Five minutes back: a client's clock may lag behind ours.
  const from = new Date(Date.now() - 300_000);
  const to = new Date(Date.now() + request.days * DAY_MS);
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const body = sequence(
    tlv(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    ECDSA_SHA256,
    nameOf(issuer),
    sequence(time(from), time(to)),
    nameOf(request.subject),
    publicKey(request.key),
    tlv(0xa3, sequence(...request.extensions)),
  );
  const signature = sign('sha256', body, signer);
  return pem('CERTIFICATE', sequence(body, ECDSA_SHA256, bitString(signature)));
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  return sequence(oid(id), ...(isCritical ? [boolean(true)] : []), octetString(value));
}

function nameOf(name: Name): Buffer {
  return sequence(...name.map(([attribute, value]) => set(sequence(oid(attribute), utf8(value)))));
}

function publicKey(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha1').update(publicKey(key)).digest();
}

function generateKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
}

function exportKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const words = (text: string): number[] => (text === '' ? [] : text.split(':').map((word) => parseInt(word, 16)));
  const [left, right] = [words(head), words(tail ?? '')];
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]));
}
