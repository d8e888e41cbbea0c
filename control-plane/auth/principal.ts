/** Who a request acts as, after its token has been checked. */
import type { NodeId, RolePath } from '../../shared/domain/ids.ts';

/** These actions in these roles. */
export interface Grant {
  /** Each covers what lies below it; `*` covers all. */
  readonly roles: readonly (RolePath | '*')[];
  /** Such as `job:read`; `job:*` and `*` stand for many. */
  readonly actions: readonly string[];
  /** Only what one of these names, such as `job/web` or `job/ci-*`, and what belongs to it. Absent: everything in the roles. */
  readonly resources?: readonly string[] | undefined;
}

export interface Principal {
  /** `join` may only register a node; `node` is an agent; `peer` is another replica. */
  readonly kind: 'user' | 'join' | 'node' | 'peer';
  /** Stands in records as `createdBy` and in stop requests. Of a node: its id. */
  readonly subject: string;
  readonly tokenId: string;
  /** Each stands for itself: what one lets do and where another lets do something don't add up. */
  readonly grants: readonly Grant[];
  /** Of a node's token, and of a join token that is for one node alone. */
  readonly node: NodeId | null;
  /** Of a join token: the state has a record of it, without which it is good for nothing. Absent: an earlier version made it. */
  readonly isRecorded?: true | undefined;
}

/** Whoever calls without a token, where an operator allows it. */
export function anonymousPrincipal(grant: Grant): Principal {
  return { kind: 'user', subject: 'anonymous', tokenId: 'anonymous', grants: [grant], node: null };
}
