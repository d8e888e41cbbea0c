/** Runs seeds side by side, in as many processes as are asked for. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { runOrder, type SeedOrder, type SeedOutcome } from './seed-worker.ts';

export interface ManySeeds {
  readonly orders: Iterable<SeedOrder>;
  readonly jobs: number;
  /** False: no further seed is begun. */
  readonly onOutcome: (outcome: SeedOutcome) => boolean;
}

export async function runSeeds({ orders, jobs, onOutcome }: ManySeeds): Promise<void> {
  const queue = orders[Symbol.iterator]();
  const state = { isOver: false };
  const serve = async (run: (order: SeedOrder) => Promise<SeedOutcome>) => {
    for (let next = queue.next(); !state.isOver && !next.done; next = queue.next()) {
      if (!onOutcome(await run(next.value))) state.isOver = true;
    }
  };
  if (jobs === 1) return serve(runOrder);
  const workers = Array.from({ length: jobs }, () => fork(join(import.meta.dirname, 'seed-worker.ts')));
  try {
    await Promise.all(workers.map((worker) => serve((order) => runIn(worker, order))));
  } finally {
    for (const worker of workers) worker.kill();
  }
}

function runIn(worker: ChildProcess, order: SeedOrder): Promise<SeedOutcome> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => {
      worker.off('message', onMessage);
      worker.off('exit', onExit);
      end();
    };
    const onMessage = (outcome: SeedOutcome) => settle(() => resolve(outcome));
    const onExit = (code: number | null) =>
      settle(() =>
        reject(new Error(`the process that ran seed ${order.seed} ended with ${code}; run that seed alone`)),
      );
    worker.on('message', onMessage);
    worker.on('exit', onExit);
    worker.send(order);
  });
}
