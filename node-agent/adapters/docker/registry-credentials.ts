/** Credentials for registries, from a file as Docker's own client writes it: `{"auths": {"<host>": {"auth": "<base64>"}}}`. */
import { readFile } from 'node:fs/promises';

export interface Credentials {
  readonly username: string;
  readonly password: string;
  readonly serveraddress: string;
}

/** Names under which the engine's default registry is known. */
const DEFAULT_HOSTS = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];

/** The registry that an image reference names; null: the engine's default one. */
export function registryHost(image: string): string | null {
  const slash = image.indexOf('/');
  if (slash < 0) return null;
  const first = image.slice(0, slash);
  return first === 'localhost' || /[.:]/.test(first) ? first : null;
}

/** The reference with `latest` where it names neither tag nor digest: the engine would pull every tag there is. */
export function fullReference(image: string): string {
  if (image.includes('@')) return image;
  return image.lastIndexOf(':') > image.lastIndexOf('/') ? image : `${image}:latest`;
}

/** Reads the file at each pull, so that rotated credentials are used. Throws where it is missing or isn't such a file. */
export async function credentialsFor(image: string, path: string | null): Promise<Credentials | null> {
  if (path === null) return null;
  return findCredentials(registryHost(image), parseAuths(await readFile(path, 'utf8')));
}

type Auths = Readonly<Record<string, unknown>>;

export function parseAuths(text: string): Auths {
  const parsed: unknown = JSON.parse(text);
  if (!isRecord(parsed)) throw new Error('the registry configuration is not a JSON object');
  const auths = parsed['auths'] ?? {};
  if (!isRecord(auths)) throw new Error('"auths" of the registry configuration is not a JSON object');
  return auths;
}

export function findCredentials(host: string | null, auths: Auths): Credentials | null {
  const wanted = host === null ? DEFAULT_HOSTS : [host];
  for (const [server, entry] of Object.entries(auths)) {
    const name = server.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
    if (!wanted.includes(name) || !isRecord(entry)) continue;
    const credentials = decode(server, entry);
    if (credentials !== null) return credentials;
  }
  return null;
}

function decode(serveraddress: string, entry: Auths): Credentials | null {
  const { auth, username, password } = entry;
  if (typeof username === 'string' && typeof password === 'string') return { username, password, serveraddress };
  if (typeof auth !== 'string') return null;
  const text = Buffer.from(auth, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return null;
  return { username: text.slice(0, colon), password: text.slice(colon + 1), serveraddress };
}

function isRecord(value: unknown): value is Auths {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
