/** The files that a client's settings name for TLS: whom it trusts, and what it shows of itself. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { type Trust, trustingFetch } from './trusting-fetch.ts';

export interface TrustFiles {
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

export const TRUST_FLAGS = { caFile: '--ca', certFile: '--client-cert', keyFile: '--client-key' } as const;

/** How often the files are read again: certificates are renewed under programs that run for months. */
const READ_EVERY_MS = 60_000;

/** `fetch` with what the files hold; the given one where no files are named. Throws as {@link readTrust} does. */
export function fetchTrusting(
  files: TrustFiles,
  { monotonicMs, otherwise }: { readonly monotonicMs: () => number; readonly otherwise: typeof fetch },
): typeof fetch {
  let trust = readTrust(files);
  if (trust === null) return otherwise;
  let [inUse, readAtMs] = [trust, monotonicMs()];
  return trustingFetch(() => {
    if (monotonicMs() - readAtMs < READ_EVERY_MS) return inUse;
    readAtMs = monotonicMs();
    trust = readable(files);
    if (trust !== null) inUse = trust;
    return inUse;
  });
}

/** Null as well while they are being written. */
function readable(files: TrustFiles): Trust | null {
  try {
    return readTrust(files);
  } catch {
    return null;
  }
}

/** Null: nothing but what the system trusts. Throws an Error that names the setting and says what would do. */
export function readTrust({ caFile, certFile, keyFile }: TrustFiles): Trust | null {
  if ((certFile === null) !== (keyFile === null)) {
    throw new Error(`${TRUST_FLAGS.certFile} and ${TRUST_FLAGS.keyFile} belong together: give both`);
  }
  if (caFile === null && certFile === null) return null;
  const ca = caFile === null ? null : [pemIn(TRUST_FLAGS.caFile, caFile)];
  if (certFile === null || keyFile === null) return checked({ ca, identity: null });
  const identity = { cert: pemIn(TRUST_FLAGS.certFile, certFile), key: pemIn(TRUST_FLAGS.keyFile, keyFile) };
  return checked({ ca, identity });
}

function pemIn(flag: string, path: string): string {
  const text = readText(flag, path);
  if (text.includes('-----BEGIN ')) return text;
  throw new Error(`${flag} "${path}" holds nothing in PEM`);
}

function readText(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Error(`${flag} "${path}" can't be read: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

function checked(trust: Trust): Trust {
  try {
    createSecureContext({ ...(trust.ca === null ? {} : { ca: [...trust.ca] }), ...trust.identity });
    return trust;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : cause;
    throw new Error(`the files of ${Object.values(TRUST_FLAGS).join(', ')} can't be used together: ${why}`, { cause });
  }
}
