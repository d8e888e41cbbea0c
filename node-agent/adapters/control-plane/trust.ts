/**
 * Whom the agent trusts to be the control plane, and what it shows of itself: files that settings name. They are read again now and then,
 * since certificates are renewed while agents run for months; what can't be read or used leaves the last ones in use.
 */
import { readFileSync } from 'node:fs';
import type { SecureContextOptions } from 'node:tls';

export interface TrustFiles {
  /** Null: the authorities of the system. */
  readonly ca: string | null;
  readonly clientCert: string | null;
  readonly clientKey: string | null;
}

export type Trust = Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>;

const READ_EVERY_MS = 60_000;

const SETTINGS = { ca: 'ca', clientCert: 'client-cert', clientKey: 'client-key' } as const;

/** What is wrong with the files, each fault with the name of its setting. */
export function trustFaults(files: TrustFiles): string[] {
  return (Object.keys(SETTINGS) as (keyof TrustFiles)[]).flatMap((name) => {
    const path = files[name];
    const fault = path === null ? null : faultOf(path);
    return fault === null ? [] : [`--${SETTINGS[name]} can't be used: ${fault}`];
  });
}

function faultOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').includes('-----BEGIN ') ? null : `${path} holds nothing in PEM`;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

function readTrust({ ca, clientCert, clientKey }: TrustFiles): Trust {
  return {
    ...(ca === null ? {} : { ca: readFileSync(ca, 'utf8') }),
    ...(clientCert === null ? {} : { cert: readFileSync(clientCert, 'utf8') }),
    ...(clientKey === null ? {} : { key: readFileSync(clientKey, 'utf8') }),
  };
}

/** What each new connection goes by. */
export function keptTrust(files: TrustFiles, monotonicMs: () => number): () => Trust {
  let [trust, readAtMs] = [readTrust(files), monotonicMs()];
  return () => {
    if (monotonicMs() - readAtMs < READ_EVERY_MS) return trust;
    readAtMs = monotonicMs();
    try {
      trust = readTrust(files);
    } catch {
      // Somebody is writing them, or has lost them: the control plane says so when the old ones are no longer good.
    }
    return trust;
  };
}
