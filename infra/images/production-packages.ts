/** Which folders below `node_modules` a program needs that is run and not developed: what the lock file says, and nothing that is there by chance. */
import { z } from 'zod';

const lockSchema = z.object({
  lockfileVersion: z.literal(3),
  packages: z.record(
    z.string(),
    z.object({ dev: z.boolean().optional(), devOptional: z.boolean().optional(), optional: z.boolean().optional() }),
  ),
});

/** Paths from the top of the repository. Those of `optional` ones may be missing: they are for other machines, or speed something up. */
export function productionPackages(lockText: string): { readonly needed: string[]; readonly optional: string[] } {
  const { packages } = lockSchema.parse(JSON.parse(lockText));
  const shipped = Object.entries(packages).filter(([path, each]) => path !== '' && !each.dev && !each.devOptional);
  return {
    needed: shipped.filter(([, { optional }]) => !optional).map(([path]) => path),
    optional: shipped.filter(([, { optional }]) => optional).map(([path]) => path),
  };
}
