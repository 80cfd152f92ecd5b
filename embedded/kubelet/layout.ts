// Where the kubelet keeps what on disk: every path below the state directory is named here.
import path from 'node:path';

export class Layout {
  readonly root: string;

  constructor(stateDir: string) {
    this.root = path.resolve(stateDir);
  }

  get pods(): string {
    return path.join(this.root, 'pods');
  }
  get runc(): string {
    return path.join(this.root, 'runc');
  }
  /** conmon writes `<container id>` with the exit code here; a watch on it is how exits are heard. */
  get exits(): string {
    return path.join(this.root, 'exits');
  }
  get cni(): string {
    return path.join(this.root, 'cni');
  }
  get images(): string {
    return path.join(this.root, 'images');
  }
  pod(uid: string): PodLayout {
    return new PodLayout(path.join(this.pods, uid));
  }
}

export class PodLayout {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  get record(): string {
    return path.join(this.root, 'record.json');
  }
  /** Bind-mounted namespace files: ns/net, ns/ipc, ns/uts. */
  get namespaces(): string {
    return path.join(this.root, 'ns');
  }
  get netns(): string {
    return path.join(this.namespaces, 'net');
  }
  get etc(): string {
    return path.join(this.root, 'etc');
  }
  get volumes(): string {
    return path.join(this.root, 'volumes');
  }
  volume(name: string): string {
    return path.join(this.volumes, name);
  }
  get logs(): string {
    return path.join(this.root, 'logs');
  }
  log(container: string, attempt: number): string {
    return path.join(this.logs, container, `${attempt}.log`);
  }
  /** One run of one container: its runc bundle, writable layer and sockets. */
  bundle(id: string): string {
    return path.join(this.root, 'run', id.slice(0, 12));
  }
}
