/** Who a request acts as, after its token has been checked. */
import type { NodeId, RolePath } from '../../shared/domain/ids.ts';

export interface Principal {
  /** `join` may only register a node; `node` is an agent; `peer` is another replica. */
  readonly kind: 'user' | 'join' | 'node' | 'peer';
  /** Stands in records as `createdBy` and in stop requests. Of a node: its id. */
  readonly subject: string;
  readonly tokenId: string;
  /** Each covers what lies below it; `*` covers all. */
  readonly roles: readonly (RolePath | '*')[];
  /** Such as `job:read`; `job:*` and `*` stand for many. */
  readonly actions: readonly string[];
  /** Of a node's token only. */
  readonly node: NodeId | null;
}

/** Whoever calls without a token, where an operator allows it. */
export function anonymousPrincipal({ roles, actions }: Pick<Principal, 'roles' | 'actions'>): Principal {
  return { kind: 'user', subject: 'anonymous', tokenId: 'anonymous', roles, actions, node: null };
}
