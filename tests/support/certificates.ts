/** An authority of a test's own, and certificates that it signs, made by `openssl`. */
import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface TestCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface TestAuthority extends TestCertificate {
  /** For a server on the loopback interface, or for a client. */
  issue(name: string): Promise<TestCertificate>;
}

const ALTERNATIVES = 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1';
const USES = 'extendedKeyUsage=serverAuth,clientAuth';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

export async function makeAuthority(folder: string, name = 'authority'): Promise<TestAuthority> {
  await mkdir(folder, { recursive: true });
  const own = filesOf(folder, name);
  await openssl(['req', '-x509', ...NEW_KEY, '-subj', `/CN=${name}`, '-keyout', own.keyFile, '-out', own.certFile]);
  return {
    ...(await texts(own)),
    async issue(subject) {
      const files = filesOf(folder, `${name}-${subject}`);
      await openssl([
        ...['req', '-x509', ...NEW_KEY, '-subj', `/CN=${subject}`, '-CA', own.certFile, '-CAkey', own.keyFile],
        ...['-addext', ALTERNATIVES, '-addext', USES, '-addext', 'basicConstraints=critical,CA:FALSE'],
        ...['-keyout', files.keyFile, '-out', files.certFile],
      ]);
      return texts(files);
    },
  };
}

function filesOf(folder: string, name: string) {
  return { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}-key.pem`) };
}

async function texts(files: { certFile: string; keyFile: string }): Promise<TestCertificate> {
  const [cert, key] = await Promise.all([readFile(files.certFile, 'utf8'), readFile(files.keyFile, 'utf8')]);
  return { ...files, cert, key };
}

async function openssl(args: readonly string[]): Promise<void> {
  await promisify(execFile)('openssl', [...args]);
}
