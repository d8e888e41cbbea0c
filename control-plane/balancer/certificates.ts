/**
 * The certificates in a folder. Each is tried before haproxy sees it: with a single file that it can't read, haproxy takes none of
 * the configuration, and one team's mistake would stop the changes of all.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Trouble } from './claims.ts';
import type { Certificates } from './config.ts';

const FILES_MAX = 10_000;

export interface FoundCertificates {
  readonly certificates: Certificates;
  readonly troubles: readonly Trouble[];
}

/** A file as it was when it was tried. */
interface Tried {
  readonly stamp: string;
  /** Of its content. */
  readonly digest: string;
  /** Null: it can be used. */
  readonly fault: string | null;
}

export class CertificateFolder {
  readonly #folder: string;
  #tried = new Map<string, Tried>();
  #found: FoundCertificates | null = null;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(): Promise<FoundCertificates> {
    this.#found ??= await this.#look();
    return this.#found;
  }

  /** Has the folder read again by the next `read`; in it, only files that have changed. */
  forget(): void {
    this.#found = null;
  }

  async #look(): Promise<FoundCertificates> {
    const troubles: Trouble[] = [];
    const trouble = (message: string) => troubles.push({ service: null, message });
    const names = await readdir(this.#folder).catch((error: unknown) => {
      trouble(`the certificates in ${this.#folder} can't be read: ${wordsOf(error)}`);
      return [];
    });
    const pems = names.filter((name) => /\.(?:pem|crt)$/.test(name)).sort();
    const tried = new Map<string, Tried>();
    for (const name of pems.slice(0, FILES_MAX)) {
      const path = join(this.#folder, name);
      tried.set(path, await tryFile(path, this.#tried.get(path)));
    }
    this.#tried = tried;
    for (const [path, { fault }] of tried) if (fault !== null) trouble(`${path} is left out: ${fault}`);
    const good = [...tried].filter(([, { fault }]) => fault === null);
    if (good.length === 0) trouble(`nothing is served with TLS: no *.pem in ${this.#folder} can be used`);
    const stamp = createHash('sha256').update(good.map(([, { digest }]) => digest).join());
    const paths = good.map(([path]) => path);
    return { certificates: { paths, stamp: stamp.digest('hex').slice(0, 16) }, troubles };
  }
}

async function tryFile(path: string, before: Tried | undefined): Promise<Tried> {
  try {
    const seen = await stat(path);
    // To read a pipe would be to wait for whoever writes to it.
    if (!seen.isFile()) return { stamp: '', digest: '', fault: 'it is no file' };
    const { mtimeMs, size, ino } = seen;
    const stamp = `${mtimeMs} ${size} ${ino}`;
    if (before?.stamp === stamp) return before;
    const pem = await readFile(path);
    return { stamp, digest: createHash('sha256').update(pem).digest('hex'), fault: faultOf(path, pem) };
  } catch (error) {
    return { stamp: '', digest: '', fault: wordsOf(error) };
  }
}

function faultOf(path: string, pem: Buffer): string | null {
  if (/[\s#]/.test(path)) return 'its path holds a space or a "#", with which haproxy can name no file in a list';
  try {
    createSecureContext({ cert: pem, key: pem });
    return null;
  } catch (error) {
    return `${wordsOf(error)}; it must hold a certificate, its chain and its private key as PEM`;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
