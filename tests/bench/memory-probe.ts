/**
 * Loaded into a replica beside its program, with `--expose-gc`: on SIGUSR2 it collects its garbage and says in its log what is left.
 * Only that can be told apart into streams; what a heap weighs in between is mostly what nobody has collected yet.
 */

/** What a finalizer lets go of is only freed the next time. */
const COLLECTIONS = 3;

process.on('SIGUSR2', () => {
  for (let time = 0; time < COLLECTIONS; time += 1) globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  process.stderr.write(`${JSON.stringify({ probe: { rss, heapUsed, external } })}\n`);
});
