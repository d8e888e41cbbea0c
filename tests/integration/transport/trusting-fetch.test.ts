import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchTrusting, readTrust } from '../../../control-plane/https/trust-files.ts';
import { trustingFetch } from '../../../control-plane/https/trusting-fetch.ts';
import { networkReason } from '../../../shared/client/errors.ts';
import { makeAuthority, type TestAuthority, type TestCertificate } from '../../support/certificates.ts';

let folder: string;
let authority: TestAuthority;
let client: TestCertificate;
let server: Server;
let base: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-fetch-'));
  authority = await makeAuthority(folder);
  client = await authority.issue('client');
  const { cert, key } = await authority.issue('server');
  server = createServer({ cert, key, ca: authority.cert, requestCert: true, rejectUnauthorized: false });
  server.on('request', async (request, response) => {
    if (request.url === '/hangs') return;
    if (request.url === '/leads') return void response.writeHead(302, { location: '/' }).end();
    if (request.url === '/nothing') return void response.writeHead(204).end();
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    const subject = (request.socket as TLSSocket).getPeerCertificate().subject as { CN?: string } | undefined;
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({ method: request.method, type: request.headers['content-type'], body, who: subject?.CN }),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `https://localhost:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

const trusting = () => trustingFetch(() => ({ ca: [authority.cert], identity: null }));

describe('fetch with an authority of its own', () => {
  it('sends what it is given, whole or as a stream, and shows its certificate', async () => {
    const fetch = trustingFetch(() => ({ ca: [authority.cert], identity: client }));
    const whole = await fetch(base, { method: 'PUT', body: '{}', headers: { 'Content-Type': 'application/json' } });
    expect(whole.headers.get('content-type')).toBe('application/json');
    expect(await whole.json()).toEqual({ method: 'PUT', type: 'application/json', body: '{}', who: 'client' });
    const body = new Blob(['in ', 'parts']).stream();
    const streamed = await fetch(base, { method: 'POST', body, duplex: 'half' } as RequestInit);
    expect(await streamed.json()).toMatchObject({ method: 'POST', body: 'in parts' });
  });

  it('hands on answers without a body', async () => {
    const answer = await trusting()(`${base}/nothing`);
    expect([answer.status, answer.body]).toEqual([204, null]);
  });

  it('follows nowhere, unless it is to hand the redirect on', async () => {
    await expect(trusting()(`${base}/leads`, { redirect: 'error' })).rejects.toThrow('fetch failed');
    expect((await trusting()(`${base}/leads`, { redirect: 'manual' })).status).toBe(302);
  });

  it('ends with its signal, for the reason that this has', async () => {
    const ending = new AbortController();
    const asked = trusting()(`${base}/hangs`, { signal: ending.signal });
    ending.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
  });

  it('fails in the words of the platform where nobody answers, and in words that help where it does not trust', async () => {
    const refused: unknown = await trusting()('https://localhost:1').catch((error: unknown) => error);
    expect(networkReason(refused)).toContain('ECONNREFUSED');
    const other = await makeAuthority(join(folder, 'others'), 'other');
    const distrusting = trustingFetch(() => ({ ca: [other.cert], identity: null }));
    const distrusted: unknown = await distrusting(base).catch((error: unknown) => error);
    expect(networkReason(distrusted)).toMatch(/nobody that is trusted here has signed its certificate/);
    const plain: unknown = await globalThis.fetch(base).catch((error: unknown) => error);
    expect(networkReason(plain)).toMatch(/nobody that is trusted here has signed its certificate/);
  });
});

describe('the files that settings name', () => {
  const files = (change: object) => ({ caFile: null, certFile: null, keyFile: null, ...change });

  it('may be none', () => {
    const otherwise: typeof fetch = async () => new Response();
    expect(readTrust(files({}))).toBeNull();
    expect(fetchTrusting(files({}), { monotonicMs: () => 0, otherwise })).toBe(otherwise);
  });

  it('are told by the setting where they can not be used', async () => {
    expect(() => readTrust(files({ certFile: client.certFile }))).toThrow('belong together: give both');
    expect(() => readTrust(files({ caFile: '/none' }))).toThrow(/^--ca "\/none" can't be read: ENOENT/);
    await writeFile(join(folder, 'text'), 'no certificate');
    expect(() => readTrust(files({ caFile: join(folder, 'text') }))).toThrow('holds nothing in PEM');
    const mixed = files({ certFile: client.certFile, keyFile: authority.keyFile });
    expect(() => readTrust(mixed)).toThrow(/--client-cert, --client-key can't be used together/);
  });

  it('are read again after a minute', async () => {
    const caFile = join(folder, 'renewed.pem');
    const other = await makeAuthority(join(folder, 'renewals'), 'other');
    await writeFile(caFile, other.cert);
    let nowMs = 0;
    const fetch = fetchTrusting(files({ caFile }), { monotonicMs: () => nowMs, otherwise: globalThis.fetch });
    await writeFile(caFile, authority.cert);
    await expect(fetch(base)).rejects.toThrow('fetch failed');
    nowMs = 60_000;
    expect((await fetch(base)).status).toBe(200);
  });
});
