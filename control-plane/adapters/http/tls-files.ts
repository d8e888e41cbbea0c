/**
 * The files that a server's certificate is kept in, which whoever renews it writes over. What is in them is taken as a whole or not at
 * all: while one file is new and the other is not yet, or something else is wrong with them, the last good ones stay in use.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Logger } from '../../../shared/util/log.ts';

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Clients have to show a certificate that one of these has signed; null: they needn't. */
  readonly clientCaFile: string | null;
}

/** In PEM. */
export interface TlsTexts {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | null;
}

/** What handshakes are made with. */
export function secureContextOf({ cert, key, clientCa }: TlsTexts) {
  return { cert, key, minVersion: 'TLSv1.2' as const, ...(clientCa === null ? {} : { ca: clientCa }) };
}

/** How often the files are looked at. */
const LOOK_EVERY_MS = 30_000;

/** Throws with the name of the file, or of the setting, that can't be used. */
export function readTls({ certFile, keyFile, clientCaFile }: TlsFiles): TlsTexts {
  const texts = {
    cert: readNamed('--tls-cert', certFile),
    key: readNamed('--tls-key', keyFile),
    clientCa: clientCaFile === null ? null : readNamed('--tls-client-ca', clientCaFile),
  };
  if (texts.clientCa !== null) demandCertificate('--tls-client-ca', clientCaFile ?? '', texts.clientCa);
  demandCertificate('--tls-cert', certFile, texts.cert);
  try {
    createSecureContext(secureContextOf(texts));
    return texts;
  } catch (cause) {
    throw new Error(`--tls-key "${keyFile}" is not the key of --tls-cert "${certFile}": ${wordsOf(cause)}`, { cause });
  }
}

function readNamed(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Error(`${setting} "${path}" can't be read: ${wordsOf(cause)}`, { cause });
  }
}

function demandCertificate(setting: string, path: string, text: string): void {
  try {
    new X509Certificate(text);
  } catch (cause) {
    throw new Error(`${setting} "${path}" holds no certificate in PEM: ${wordsOf(cause)}`, { cause });
  }
}

function wordsOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

export interface TlsWatchOptions {
  readonly files: TlsFiles;
  /** What is in use. */
  readonly first: TlsTexts;
  /** Takes others into use; connections that are open stay as they are. */
  readonly use: (texts: TlsTexts) => void;
  readonly log: Logger;
  readonly lookEveryMs?: number;
}

export interface TlsWatch {
  /** Looks at once, such as when somebody says so by a signal. */
  look(): void;
  stop(): void;
}

export function watchTls({ files, first, use, log, lookEveryMs = LOOK_EVERY_MS }: TlsWatchOptions): TlsWatch {
  let inUse = first;
  let told = '';
  const look = () => {
    try {
      const texts = readTls(files);
      told = '';
      if (JSON.stringify(texts) === JSON.stringify(inUse)) return;
      use(texts);
      inUse = texts;
      log.info(describe(texts), 'the certificate has been changed');
    } catch (error) {
      // Once per fault: it may last until somebody comes to see to it.
      const words = wordsOf(error);
      if (words !== told) log.error({ error: words }, 'the certificate files can not be used; the last good ones stay');
      told = words;
    }
  };
  const timer = setInterval(look, lookEveryMs);
  timer.unref();
  return { look, stop: () => clearInterval(timer) };
}

/** What an operator wants to know of the certificate that is shown now. */
export function describe({ cert }: TlsTexts): { readonly subject: string; readonly validTo: string } {
  const { subject, validTo } = new X509Certificate(cert);
  return { subject, validTo };
}
