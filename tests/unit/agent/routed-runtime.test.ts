/** Two runtimes as one: what is asked goes to the one that it is for. */
import { beforeEach, describe, expect, it } from 'vitest';
import { PROCESS_ID_PREFIX } from '../../../node-agent/core/model.ts';
import type { Runtime } from '../../../node-agent/executor/contracts.ts';
import { RoutedRuntime } from '../../../node-agent/executor/routed-runtime.ts';
import type { GroupRuntime } from '../../../shared/domain/job.ts';
import { aGroup } from '../../support/builders.ts';
import { FakeRuntime } from '../../support/fake-runtime.ts';
import { anAssigned, IMAGE, TestClock } from './world.ts';

/** Says only who was asked what. */
class Witness extends FakeRuntime {
  readonly #name: string;
  readonly #asked: string[];

  constructor(name: string, asked: string[]) {
    super({ clock: new TestClock(), images: [IMAGE] });
    this.#name = name;
    this.#asked = asked;
  }

  override async inspect(id: string): Promise<null> {
    this.#asked.push(`${this.#name} ${id}`);
    return null;
  }

  override async run(...[request]: Parameters<Runtime['run']>) {
    this.#asked.push(`${this.#name} ${request.assigned.id}`);
    return { type: 'refused' as const, reason: 'engine-error' as const, message: this.#name };
  }
}

let asked: string[];
beforeEach(() => {
  asked = [];
});

const request = (runtime: GroupRuntime) => ({
  ...{ epoch: 1, run: 0, mountSources: new Map() },
  assigned: anAssigned('t1', { group: aGroup({ runtime, image: runtime === 'docker' ? IMAGE : '' }) }),
});

describe('two runtimes', () => {
  const both = () =>
    new RoutedRuntime({ docker: new Witness('docker', asked), process: new Witness('process', asked) });

  it.each(['docker', 'process'] as const)('start a task with the runtime %s in that one', async (runtime) => {
    await both().run(request(runtime), async () => {});
    expect(asked).toEqual([`${runtime} t1`]);
  });

  it.each([
    ['process', `${PROCESS_ID_PREFIX}abc`],
    ['docker', '0123456789abcdef'],
  ])('ask %s about the container %s', async (runtime, id) => {
    await both().inspect(id);
    expect(asked).toEqual([`${runtime} ${id}`]);
  });

  it('have the images of the engine, and none is needed without a container', async () => {
    expect(await both().hasImage(IMAGE)).toBe(true);
    expect(await both().hasImage('nobody/knows:1')).toBe(false);
  });
});

describe('a node without an engine', () => {
  const only = () => new RoutedRuntime({ docker: null, process: new Witness('process', asked) });

  it('runs what needs none, and says of the rest what it lacks', async () => {
    await only().run(request('process'), async () => {});
    expect(asked).toEqual(['process t1']);
    expect(await only().run(request('docker'), async () => {})).toMatchObject({
      type: 'refused',
      reason: 'refused-by-node',
    });
    expect(await only().pullImage(IMAGE, new AbortController().signal)).toMatchObject({ type: 'failed' });
    expect(asked).toEqual(['process t1']);
  });
});
