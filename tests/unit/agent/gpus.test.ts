/** The GPUs of a machine: what its driver says, and what of it the operator lets tasks have. */
import { describe, expect, it } from 'vitest';
import { detectGpus } from '../../../node-agent/adapters/machine/detect-gpus.ts';
import { parseCards, parseInstanceMemory, parseInstances } from '../../../node-agent/adapters/machine/nvidia-output.ts';
import type { ProgramResult } from '../../../node-agent/adapters/machine/run-program.ts';
import { chooseGpus, type GpuReport } from '../../../node-agent/config/gpus.ts';
import * as recorded from './nvidia-recordings.ts';

const printed = (output: string, exitCode = 0): ProgramResult => ({ type: 'ended', exitCode, output });

/** A driver that answers the three questions, and no others. */
function driver(answers: {
  table: ProgramResult;
  old?: ProgramResult;
  list?: ProgramResult;
  report?: ProgramResult;
  alone?: Readonly<Record<string, ProgramResult>>;
}) {
  const asked: string[] = [];
  const ask = async (...args: readonly string[]): Promise<ProgramResult> => {
    const question = args.join(' ');
    asked.push(question);
    const answer = {
      '--query-gpu=index,uuid,name,memory.total,driver_version,mig.mode.current --format=csv,noheader,nounits':
        answers.table,
      '--query-gpu=index,uuid,name,memory.total,driver_version --format=csv,noheader,nounits': answers.old,
      '-L': answers.list,
      '-q -x': answers.report,
      ...answers.alone,
    }[question];
    if (answer === undefined) throw new Error(`nobody expected the question ${question}`);
    return answer;
  };
  return { ask, asked };
}

const h100 = {
  id: 'GPU-693f1113-9c39-bb31-2ea5-23bc6cba27fc',
  product: 'NVIDIA H100 80GB HBM3',
  memoryMiB: 81_559,
  driver: '580.159.04',
  parent: null,
};

const a100Driver = () =>
  driver({
    table: printed(recorded.A100_TABLE),
    list: printed(recorded.A100_LIST),
    report: printed(recorded.A100_REPORT),
  });

const [whole, cut, empty] = [
  'GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f',
  'GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77',
  'GPU-f124aa59-d406-d45b-9481-8fcd694e6c9e',
];
const [large, small] = ['MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f', 'MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb'];

describe('the GPUs of a machine', () => {
  it('are read from a table of an H100, and nothing else is asked', async () => {
    const { ask, asked } = driver({ table: printed(recorded.H100_TABLE) });
    expect(await detectGpus(ask)).toEqual({ type: 'found', gpus: [{ ...h100, place: '0' }], complaints: [] });
    expect(asked).toHaveLength(1);
  });

  it('are instances in place of the cards that are cut into them', async () => {
    const { ask } = a100Driver();
    const common = { driver: '470.42.01', parent: cut };
    expect(await detectGpus(ask)).toEqual({
      type: 'found',
      gpus: [
        { ...common, id: whole, place: '0', product: 'NVIDIA A100-SXM4-40GB', memoryMiB: 40_536, parent: null },
        { ...common, id: large, place: '1:0', product: 'NVIDIA A100-SXM4-40GB MIG 3g.20gb', memoryMiB: 19_968 },
        { ...common, id: small, place: '1:1', product: 'NVIDIA A100-SXM4-40GB MIG 1c.2g.10gb', memoryMiB: 9984 },
      ],
      complaints: [`GPU 2 (${empty}) is in MIG mode and has no instances, so there is nothing of it to give to tasks`],
    });
  });

  it('are known without the memory of instances where that can’t be had', async () => {
    const { ask } = driver({
      table: printed(recorded.A100_TABLE),
      list: printed(recorded.A100_LIST),
      report: { type: 'failed', why: 'it did not end within 20 s' },
    });
    const report = await detectGpus(ask);
    expect(report).toMatchObject({ gpus: [{ id: whole }, { id: large, memoryMiB: 0 }, { id: small, memoryMiB: 0 }] });
    expect(report.type === 'found' && report.complaints).toContain('it did not end within 20 s');
  });

  it('are asked for anew, without MIG, from a driver that is older than that', async () => {
    const { ask } = driver({ table: printed(recorded.UNKNOWN_FIELD, 2), old: printed(recorded.V100_TABLE) });
    const report = await detectGpus(ask);
    expect(report.type === 'found' && report.gpus.map(({ place, driver: version }) => [place, version])).toEqual([
      ['0', '418.226.00'],
      ['1', '418.226.00'],
    ]);
  });

  it('may say nothing of their memory', async () => {
    const { ask } = driver({ table: printed(recorded.UNIFIED_TABLE) });
    expect(await detectGpus(ask)).toMatchObject({ gpus: [{ product: 'NVIDIA GB10', memoryMiB: 0 }], complaints: [] });
  });

  it.each([0, 15])('are those that answer, beside others that are lost (exit code %d)', async (exitCode) => {
    const { ask } = driver({ table: printed(recorded.LOST_TABLE, exitCode) });
    const report = await detectGpus(ask);
    if (report.type !== 'found') throw new Error(report.type);
    expect(report.gpus.map(({ place }) => place)).toEqual(['0', '2']);
    expect(report.complaints).toEqual([
      'Unable to determine the device handle for GPU 0000:0B:00.0: Unknown Error',
      '3, [GPU is lost], [GPU is lost], [GPU is lost], 520.61.05, [GPU is lost]',
      '4, GPU-5adf6ab0-9e4c-4cf3-bd8a-3b1c4f1a6a00, NVIDIA GeForce RTX 2080 Ti, [Unknown Error], 520.61.05, [N/A]',
      '5, GPU-5adf6ab0-9e4c-4cf3-bd8a-3b1c4f1a6a01, ERR!, ERR!, 520.61.05, ERR!',
    ]);
  });

  it('are asked for one by one where a lost card keeps the driver from telling of any', async () => {
    const alone = ([at, id]: readonly [string, string]) =>
      [
        `--id=${id} --query-gpu=index,uuid,name,memory.total,driver_version,mig.mode.current --format=csv,noheader,nounits`,
        printed(`${at}, ${id}, NVIDIA GeForce RTX 2080 Ti, 11019, 520.61.05, [N/A]\n`),
      ] as const;
    const [first, last] = ['GPU-67a571b1-79ee-1016-8ea3-c1fff3f1c1d2', 'GPU-2d540dd6-583b-cf11-80dd-cc28edc1dd62'];
    const { ask } = driver({
      table: printed(recorded.NO_HANDLE, 15),
      list: printed(recorded.LOST_LIST, 15),
      alone: Object.fromEntries([alone(['0', first]), alone(['2', last])]),
    });
    expect(await detectGpus(ask)).toMatchObject({
      type: 'found',
      gpus: [
        { id: first, place: '0' },
        { id: last, place: '2' },
      ],
      complaints: [recorded.NO_HANDLE.trim()],
    });
  });

  it.each<[string, ProgramResult, GpuReport]>([
    ['no driver is installed', { type: 'missing' }, { type: 'absent' }],
    [
      'the driver finds none',
      printed(recorded.NO_DEVICES, 6),
      { type: 'found', gpus: [], complaints: ['No devices were found'] },
    ],
    [
      'the driver does not run',
      printed(recorded.NO_DRIVER, 9),
      {
        type: 'failed',
        why: "nvidia-smi: NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.",
      },
    ],
    [
      'the only card is lost',
      printed(recorded.NO_HANDLE, 15),
      {
        type: 'failed',
        why: 'nvidia-smi: Unable to determine the device handle for GPU 0000:0B:00.0: GPU is lost.  Reboot the system to recover this GPU',
      },
    ],
    [
      'it fails without a word',
      printed('', 255),
      { type: 'failed', why: 'nvidia-smi: it ended with the exit code 255' },
    ],
    [
      'it hangs',
      { type: 'failed', why: 'it did not end within 20 s' },
      { type: 'failed', why: 'nvidia-smi: it did not end within 20 s' },
    ],
  ])('are none where %s', async (_, table, expected) => {
    expect(await detectGpus(driver({ table, list: printed(recorded.NO_HANDLE, 15) }).ask)).toEqual(expected);
  });

  it('are none of a table that says nothing but nonsense', () => {
    const nonsense = [
      '',
      '0',
      'a, GPU-1, b, 1, c',
      '0, ../../etc, b, 1, c',
      '0, GPU-1, b, -1, c',
      '0, GPU-1, b, , c, d, e',
    ];
    expect(parseCards(nonsense.join('\n')).cards).toEqual([]);
  });

  it('have instances by the names that older drivers gave them', () => {
    expect(parseInstances(recorded.A100_OLD_LIST)).toEqual([
      {
        card: 'GPU-b8ea3855-276c-c9cb-b366-c6fa655957c5',
        number: '0',
        id: 'MIG-GPU-b8ea3855-276c-c9cb-b366-c6fa655957c5/1/0',
        profile: '3g.20gb',
      },
    ]);
  });

  it('have no instances where MIG is off', () => {
    expect(parseInstances(recorded.H100_LIST)).toEqual([]);
    expect([...parseInstanceMemory(recorded.H100_REPORT)]).toEqual([]);
  });
});

describe('the choice of GPUs', async () => {
  const report = await detectGpus(a100Driver().ask);
  const choose = (choice: Parameters<typeof chooseGpus>[1]) => {
    const { gpus, unknown } = chooseGpus(report, choice);
    return { ids: gpus.map(({ id }) => id), unknown };
  };

  it.each<[string, Parameters<typeof chooseGpus>[1], readonly (string | undefined)[]]>([
    ['all', 'all', [whole, large, small]],
    ['none', 'none', []],
    ['a card by its place', ['0'], [whole]],
    ['a card by its UUID', [whole ?? ''], [whole]],
    ['an instance by its place', ['1:1'], [small]],
    ['an instance by its UUID', [large ?? ''], [large]],
    ['all instances of a card by its place', ['1'], [large, small]],
    ['all instances of a card by its UUID', [cut ?? ''], [large, small]],
    ['some, in the order of the machine, each once', ['1:0', '0', '1'], [whole, large, small]],
  ])('may be %s', (_, choice, expected) => {
    expect(choose(choice)).toEqual({ ids: expected, unknown: [] });
  });

  it('tells what of it is not there', () => {
    expect(choose(['0', '3', 'GPU-other'])).toEqual({ ids: [whole], unknown: ['3', 'GPU-other'] });
    expect(chooseGpus({ type: 'absent' }, ['0'])).toEqual({ gpus: [], unknown: ['0'] });
  });
});
