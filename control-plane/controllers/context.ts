/** What the loops work with; the part of a replica that has nothing to do with requests. */
import type { Clock } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import type { Random } from '../../shared/util/random.ts';
import type { Store } from '../store/contract.ts';
import type { Mirror } from '../store/mirror.ts';

export interface ControllerContext {
  readonly store: Store;
  readonly mirror: Mirror;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly replica: { readonly id: string };
}
