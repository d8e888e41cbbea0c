/** What takes a reload of a real haproxy, or more: new ports and hosts, certificates, conflicts, and an end of haproxy itself. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CertificateFolder } from '../../../control-plane/balancer/certificates.ts';
import type { EndpointView } from '../../../shared/protocol/endpoints.ts';
import { endpointOf } from '../../support/endpoints.ts';
import { freePort } from '../../support/etcd.ts';
import { startLostBalancer } from '../../support/lost-balancer.ts';
import { type RunningBalancer, startRunningBalancer } from '../../support/running-balancer.ts';
import { ask, startLoad, startWebTask, type WebTask } from '../../support/web-task.ts';

const started: RunningBalancer[] = [];
const tasks: WebTask[] = [];
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-certs-'));
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((balancer) => balancer.stop()));
  await Promise.all(tasks.splice(0).map((task) => task.kill()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function start(given: Parameters<typeof startRunningBalancer>[0] = {}): Promise<RunningBalancer> {
  const running = await startRunningBalancer(given);
  started.push(running);
  return running;
}

async function task(name: string, options: Parameters<typeof startWebTask>[1] = {}): Promise<WebTask> {
  const one = await startWebTask(name, options);
  tasks.push(one);
  return one;
}

function endpoint({ name, port }: WebTask, given: Partial<EndpointView> = {}): EndpointView {
  return endpointOf({ task: name, port, ...given });
}

describe('a reload', () => {
  it('cuts no request and no download that is under way', async () => {
    const running = await start();
    const [fast, slow] = [await task('fast'), await task('slow', { delayMs: 25, pieces: 60 })];
    const endpoints = [
      endpoint(fast),
      endpoint(slow, { job: 'files', publish: { mode: 'http', hosts: ['files.example'] } }),
    ];
    await running.serve(endpoints);
    const downloads = Array.from({ length: 5 }, () => ask(running.httpPort, { host: 'files.example' }));
    await running.until('the downloads to have begun', () => slow.served() === 5);
    const load = startLoad(running.httpPort, { connections: 8 });
    for (let round = 1; round <= 4; round += 1) {
      const port = await freePort();
      endpoints.push(endpoint(fast, { job: `more-${round}`, publish: { mode: 'http', port } }));
      await running.serve(endpoints);
      expect((await ask(port)).body).toBe('fast');
    }
    for (const download of await Promise.all(downloads)) expect(download.body).toBe(`${'slow '.repeat(59)}slow`);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(running.balancer.status().tally).toMatchObject({ reloads: 4, restarts: 0 });
    const lists = (await readdir(running.settings.folder)).filter((name) => name.endsWith('.list'));
    expect(lists).toHaveLength(1);
  });

  it('that haproxy refuses leaves the last good configuration, in which tasks still come and go', async () => {
    const running = await start();
    const [one, two] = [await task('one'), await task('two')];
    await running.serve([endpoint(one)]);
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    const port = address === null || typeof address === 'string' ? 0 : address.port;
    await running.serve([endpoint(two), endpoint(two, { job: 'other', publish: { mode: 'tcp', port } })]);
    expect((await ask(running.httpPort)).body).toBe('two');
    expect(running.balancer.status().troubles).toEqual([
      { service: 'default/other/main/http', message: `gets no port ${port}: another process listens there` },
    ]);
    taken.close();
    await once(taken, 'close');
    running.balancer.lookAgain();
    await running.until('the port to be had', () => running.balancer.status().troubles.length === 0);
    expect((await ask(port)).body).toBe('two');
  });
});

describe('services that ask for the same', () => {
  it('are told, and whoever had it keeps it', async () => {
    const running = await start();
    const [one, two] = [await task('one'), await task('two')];
    const port = await freePort();
    const publish = { mode: 'http', port, hosts: ['web.example'] } satisfies EndpointView['publish'];
    const first = endpoint(one, { job: 'zebra', publish });
    const second = endpoint(two, { job: 'ant', publish });
    await running.serve([first]);
    await running.serve([first, second]);
    expect((await ask(port)).body).toBe('one');
    expect((await ask(running.httpPort)).body).toBe('one');
    expect(running.balancer.status().troubles.map(({ service, message }) => `${service} ${message}`)).toEqual([
      'default/ant/main/http gets no host web.example/: default/zebra/main/http has it',
      `default/ant/main/http gets no port ${port}: default/zebra/main/http has it`,
    ]);
    // Its tasks may be back in a moment.
    await running.serve([second]);
    expect((await ask(port)).status).toBe(503);
    await running.serve([first, second]);
    expect((await ask(port)).body).toBe('one');
  });

  it('keep what they had through a restart of the balancer', async () => {
    const own = await mkdtemp(join(tmpdir(), 'berth-kept-'));
    const [one, two] = [await task('one'), await task('two')];
    const port = await freePort();
    const publish = { mode: 'http', port, hosts: ['web.example'], path: '/' } satisfies EndpointView['publish'];
    const first = endpoint(one, { job: 'zebra', publish });
    const second = endpoint(two, { job: 'ant', publish });
    const before = await startRunningBalancer({ folder: own });
    await before.serve([first]);
    await before.stop();
    const running = await start({ folder: own });
    await running.serve([first, second]);
    expect((await ask(port)).body).toBe('one');
    expect((await ask(running.httpPort)).body).toBe('one');
    await rm(own, { recursive: true, force: true });
  });
});

describe('virtual hosts', () => {
  it('are found by name, wildcard and longest path', async () => {
    const running = await start();
    const names = ['root', 'api', 'deep', 'wild'] as const;
    const [root, api, deep, wild] = await Promise.all(names.map((name) => task(name)));
    if (!root || !api || !deep || !wild) throw new Error('four tasks were started');
    const hosts = ['a.example'];
    await running.serve([
      endpoint(root, { job: 'root', publish: { mode: 'http', hosts } }),
      endpoint(api, { job: 'api', publish: { mode: 'http', hosts, path: '/api' } }),
      endpoint(deep, { job: 'deep', publish: { mode: 'http', hosts, path: '/api/deep' } }),
      endpoint(wild, { job: 'wild', publish: { mode: 'http', hosts: ['*.example'] } }),
    ]);
    const asked = async (host: string, path: string) => (await ask(running.httpPort, { host, path })).body;
    expect(await asked('a.example', '/')).toBe('root');
    expect(await asked('A.Example:80', '/other?x=/api')).toBe('root');
    expect(await asked('a.example.', '/api?x=1')).toBe('api');
    expect(await asked('a.example', '/api/deeper')).toBe('deep');
    expect(await asked('b.example', '/api')).toBe('wild');
    expect(await asked('b.c.example', '/')).toContain('No service');
  });
});

function certificateFor(name: string): Promise<void> {
  const [key, cert] = [join(folder, `${name}.key.tmp`), join(folder, `${name}.crt.tmp`)];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  execFileSync(
    'openssl',
    ['req', '-x509', ...curve, '-nodes', '-days', '2', '-keyout', key, '-out', cert, ...subject],
    {
      stdio: 'ignore',
    },
  );
  return Promise.all([readFile(cert), readFile(key)]).then((parts) =>
    writeFile(join(folder, `${name}.pem`), Buffer.concat(parts)),
  );
}

function certificateSubject(port: number, servername: string): Promise<string> {
  const socket = connectTls({ port, host: '127.0.0.1', servername, rejectUnauthorized: false });
  return once(socket, 'secureConnect').then(() => {
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  });
}

async function askHttp2(port: number, host: string): Promise<string> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { servername: host, rejectUnauthorized: false });
  const stream = session.request({ ':path': '/', ':authority': host });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  const protocol = session.alpnProtocol;
  session.destroy();
  return `${protocol} ${Buffer.concat(chunks).toString('utf8')}`;
}

describe('TLS', () => {
  it('is served by name with HTTP/2, takes new certificates, and leaves out what is none', async () => {
    await certificateFor('a.example');
    await writeFile(join(folder, 'broken.pem'), 'not a certificate');
    const [httpsPort, web] = [await freePort(), await task('web')];
    const https = { host: '127.0.0.1', port: httpsPort };
    const running = await start({ https, certsDir: folder, redirectsToHttps: true });
    await running.serve([endpoint(web, { publish: { mode: 'http', hosts: ['a.example', 'b.example'] } })]);
    expect(running.complaints.join()).toContain('broken.pem is left out');
    expect(await askHttp2(httpsPort, 'a.example')).toBe('h2 web');
    expect(await certificateSubject(httpsPort, 'b.example')).toBe('a.example');
    await certificateFor('b.example');
    running.balancer.lookAgain();
    await running.until('the new certificate', () => running.balancer.status().tally.reloads === 1);
    expect(await certificateSubject(httpsPort, 'b.example')).toBe('b.example');
    expect(await certificateSubject(httpsPort, 'a.example')).toBe('a.example');
    const redirect = await ask(running.httpPort, { host: 'a.example', path: '/x?y=1' });
    expect(redirect).toMatchObject({ status: 308, headers: { location: `https://a.example:${httpsPort}/x?y=1` } });
    const challenge = await ask(running.httpPort, { host: 'a.example', path: '/.well-known/acme-challenge/x' });
    expect(challenge.status).toBe(200);
    expect(JSON.parse(String(challenge.headers['x-seen']))).toMatchObject({ 'x-forwarded-proto': 'http' });
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

it('certificates that are no files are left out, also a pipe that nobody writes to', async () => {
  const pipe = join(folder, 'pipe.pem');
  execFileSync('mkfifo', [pipe]);
  const { troubles } = await new CertificateFolder(folder).read();
  expect(troubles.map(({ message }) => message)).toContain(`${pipe} is left out: it is no file`);
  await rm(pipe);
});

describe('haproxy itself', () => {
  it('is started again when it dies, and told of', async () => {
    const running = await start();
    const web = await task('web');
    await running.serve([endpoint(web)]);
    const { haproxyPid } = running.balancer.status();
    process.kill(haproxyPid ?? 0, 'SIGKILL');
    await running.until('another one', () => {
      const status = running.balancer.status();
      return status.serving && status.haproxyPid !== haproxyPid;
    });
    expect((await ask(running.httpPort)).body).toBe('web');
    expect(running.balancer.status().tally.restarts).toBe(1);
    expect(running.complaints.join()).toContain('haproxy has ended');
  });

  it('goes on with what it served while the endpoints can not be had', async () => {
    const running = await start();
    const web = await task('web');
    await running.serve([endpoint(web)]);
    running.source.fail(new Error('the control plane is away'));
    await running.until('the trouble to be told', () => running.balancer.status().tally.sourceTrouble !== null);
    expect((await ask(running.httpPort)).body).toBe('web');
    await running.until('the list to come again', () => running.balancer.status().tally.sourceTrouble === null);
  });

  it('is started again with what it served before while nothing is known of endpoints', async () => {
    const own = await mkdtemp(join(tmpdir(), 'berth-before-'));
    const web = await task('web');
    const http = { host: '127.0.0.1', port: await freePort() };
    const before = await startRunningBalancer({ folder: own, http });
    await before.serve([endpoint(web)]);
    await before.stop();
    const running = await start({ folder: own, http });
    await running.until('what was served before', () => running.balancer.status().serving);
    const { haproxyPid } = running.balancer.status();
    process.kill(haproxyPid ?? 0, 'SIGKILL');
    await running.until('another one', () => {
      const status = running.balancer.status();
      return status.serving && status.haproxyPid !== haproxyPid;
    });
    expect((await ask(http.port)).body).toBe('web');
    expect(running.balancer.status().tally).toMatchObject({ lists: 0, restarts: 1 });
    await rm(own, { recursive: true, force: true });
  });

  it('that a killed balancer has left behind is taken over, without a failed request', async () => {
    const own = await mkdtemp(join(tmpdir(), 'berth-left-'));
    const web = await task('web');
    const httpPort = await freePort();
    const lost = await startLostBalancer(own, { httpPort, taskPort: web.port });
    const before = lost.haproxyPid;
    expect((await ask(httpPort)).body).toBe('web');
    const load = startLoad(httpPort);
    const running = await start({ folder: own, http: { host: '127.0.0.1', port: httpPort } });
    // It serves before it knows any endpoints, as the control plane may be away.
    await running.until('another haproxy', () => running.balancer.status().serving);
    await running.until('the one before to be gone', () => !isAlive(before));
    await running.serve([endpoint(web)]);
    const done = load.done();
    await running.until('some more requests', () => load.done() > done + 100);
    await load.stop();
    expect(load.failures).toEqual([]);
    await rm(own, { recursive: true, force: true });
  });

  it('is no use where the port of virtual hosts is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    const port = address === null || typeof address === 'string' ? 0 : address.port;
    const running = await start({ http: { host: '127.0.0.1', port } });
    await expect(running.serve([])).rejects.toThrow(`virtual hosts can't be served on port ${port}`);
    taken.close();
  });

  it('has to be there', async () => {
    const running = await start({ haproxy: '/nowhere/haproxy' });
    await expect(running.serve([])).rejects.toThrow(
      /\/nowhere\/haproxy can't be run .*install Debian's package haproxy/,
    );
  });
});
