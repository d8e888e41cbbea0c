/** Where a call comes from that no door has let in. */
import type { Origin } from '../../control-plane/services/origin.ts';

export const NOWHERE: Origin = { requestId: 'request-of-a-test', address: null, operation: 'a test' };
