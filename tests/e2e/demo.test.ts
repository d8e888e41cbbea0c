import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { containers, startProgram } from './cli-process.ts';

const DEMO = fileURLToPath(new URL('../../infra/demo/main.ts', import.meta.url));

/** Where the demo makes its folders, and nobody else does. */
let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-demo-'));
  // The users of tasks without a container have to get through.
  await chmod(folder, 0o755);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function startDemo() {
  return startProgram(process.execPath, [DEMO], { TMPDIR: folder });
}

describe('the demo', () => {
  it(
    'runs the main job, says where, why and how long, and leaves nothing behind',
    async () => {
      const { code, out, err } = await startDemo().done;
      expect({ code, err }).toEqual({ code: 0, err: '' });
      const node = /one: hello from a container on (edge-\d-\S+)/.exec(out)?.[1] ?? '';
      const story = [
        'ready at http://127.0.0.1:',
        'role demo; job:read',
        '/v1/jobs',
        '201: job demo/hello, version 1',
        `three: hello from a container on ${node}`,
        `on ${node}: `,
        'pending ',
        'running ',
        'exited with code 0',
        'exit code 0,',
        'pending: 0 of 2 nodes can take it: 2 have too little memory free',
        'Stopping all that was started',
        'Done in ',
      ];
      let from = 0;
      for (const part of story) {
        const at = out.indexOf(part, from);
        expect(at, `"${part}" comes in its turn in:\n${out}`).toBeGreaterThanOrEqual(from);
        from = at;
      }
      expect(await containers(node.replace(/^edge-\d-/, ''))).toEqual([]);
      expect(await readdir(folder)).toEqual([]);
    },
    3 * 60_000,
  );

  it(
    'stops all that it started when it is interrupted',
    async () => {
      const demo = startDemo();
      await demo.says('one: hello from a container');
      demo.process.kill('SIGINT');
      const { code, out } = await demo.done;
      expect(code).toBe(130);
      expect(out).toContain('Stopping all that was started');
      const mark = /edge-1-([0-9a-f]{6})/.exec(out)?.[1] ?? 'none';
      expect(await containers(mark)).toEqual([]);
      expect(await readdir(folder)).toEqual([]);
    },
    3 * 60_000,
  );
});
