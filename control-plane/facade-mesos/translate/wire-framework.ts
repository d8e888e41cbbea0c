/** What the translations have to know of the framework that they are made for. */
import type { RolePath } from '../../../shared/domain/ids.ts';

export interface WireFramework {
  /** As the client knows it. */
  readonly id: string;
  /** `FrameworkInfo.principal`; null: it gave none. */
  readonly principal: string | null;
  /** Who calls for it, as Berth's records name it. */
  readonly subject: string;
  readonly capabilities: ReadonlySet<string>;
  /** As the framework spells it. */
  readonly wireRole: (role: RolePath) => string;
}
