/**
 * A container engine for one measurement alone, in namespaces of its own, so that it can be made a swarm, with the bridges and rules
 * that this makes, without a trace on the machine's own engine. All of it ends at once.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeControlGroups } from '../chaos/world/private-engine.ts';
import { Child } from './child.ts';
import { Engine } from './engine.ts';

const CGROUP = 'berth-bench';
/** `$1` is its folder. An engine takes the containerd that it finds, which here must be one of its own. */
const INIT = `
folder=$1
ip link set lo up
mkdir -p /run/containerd && mount -t tmpfs none /run/containerd
exec dockerd --config-file "$folder/engine.json" --data-root "$folder/data" --exec-root "$folder/run" \\
  --pidfile "$folder/pid" --host "unix://$folder/engine.sock" --cgroup-parent /${CGROUP} --log-level warn
`;
const NAMESPACES = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];

export class LoneEngine {
  readonly api: Engine;
  readonly socketPath: string;
  readonly #folder: string;
  readonly #process: Child;

  private constructor(folder: string) {
    this.#folder = folder;
    this.socketPath = join(folder, 'engine.sock');
    this.api = new Engine(`unix://${this.socketPath}`);
    this.#process = new Child({
      name: 'engine',
      command: 'unshare',
      args: [...NAMESPACES, 'sh', '-c', INIT, 'init', folder],
      logFile: join(folder, 'log'),
      // Else a swarm asks a registry for the image before each start, which Berth doesn't where the image is there.
      env: { DOCKER_SERVICE_PREFER_OFFLINE_IMAGE: '1' },
    });
  }

  /** Resolves when it answers and holds the image. */
  static async start(image: string): Promise<LoneEngine> {
    const folder = mkdtempSync(join(tmpdir(), 'berth-bench-engine-'));
    writeFileSync(join(folder, 'engine.json'), '{}');
    const engine = new LoneEngine(folder);
    try {
      await engine.#process.until('the engine to answer', async () => (await engine.api.version()) !== '');
      const copy = `docker save "$1" | docker --host "unix://$2" load`;
      execFileSync('sh', ['-c', copy, 'copy', image, engine.socketPath], { stdio: 'ignore' });
      return engine;
    } catch (error) {
      await engine.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.api.close();
    await this.#process.kill();
    rmSync(this.#folder, { recursive: true, force: true });
    removeControlGroups(CGROUP);
  }
}
