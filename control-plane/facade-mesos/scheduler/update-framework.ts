/** UPDATE_FRAMEWORK: all that a framework said with its subscription, said anew in the same session. */
import { Refusal } from '../../../shared/domain/errors.ts';
import { updateFrameworkSchema } from '../../../shared/protocol/framework.ts';
import { updateFramework as changeFramework } from '../../services/frameworks.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import { frameworkNotesOf } from '../translate/annotations.ts';
import { readWishes } from '../translate/framework-info.ts';
import { infoOf } from '../translate/known-framework.ts';
import type { WireFrameworkInfo, WireWishes } from '../wire/framework-info.ts';
import type { Acting } from './acting.ts';

export async function updateFramework(
  { ctx }: FacadeParts,
  { call, framework }: Acting,
  wishes: WireWishes,
): Promise<void> {
  demandSame(infoOf(framework), wishes.framework_info);
  const reading = readWishes(wishes, frameworkNotesOf(framework.annotations));
  if (!reading.ok) throw invalid(reading.message);
  const checked = updateFrameworkSchema.safeParse({ session: framework.session, ...reading.value });
  if (!checked.success) {
    const [issue] = checked.error.issues;
    throw invalid(`${issue?.path.join('.')} ${issue?.message}`);
  }
  const { session, ...changed } = checked.data;
  try {
    await changeFramework(ctx, call, { id: framework.id, session }, changed);
  } catch (error) {
    throw error instanceof Refusal ? answerTo(error) : error;
  }
}

/** Of these Mesos says that they can't be changed, where they are said to be something else. */
function demandSame(before: WireFrameworkInfo, after: WireFrameworkInfo): void {
  for (const field of ['principal', 'user', 'checkpoint'] as const) {
    const [was, is] = [String(before[field] ?? DEFAULTS[field]), String(after[field] ?? DEFAULTS[field])];
    if (was === is) continue;
    throw invalid(`Updating 'FrameworkInfo.${field}' is unsupported; attempted to update from '${was}' to '${is}'`);
  }
}

const DEFAULTS = { principal: '', user: '', checkpoint: false } as const;

function invalid(why: string): WireRefusal {
  return new WireRefusal(400, `'UpdateFramework.framework_info' is not valid: ${why}`);
}

function answerTo(refusal: Refusal): Error {
  switch (refusal.code) {
    case 'forbidden':
      return new WireRefusal(403, `Not authorized to update the framework: ${refusal.message}`);
    case 'session-moved':
    case 'framework-gone':
      return new WireRefusal(409, `The framework was changed meanwhile: ${refusal.message}`);
    default:
      return refusal;
  }
}
