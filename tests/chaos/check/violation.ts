/** Something that must not be, found in a history. */
export interface Violation {
  /** The rule that it breaks, in a few words that never change. */
  readonly rule: string;
  /** The job, task, node or process that it is about. */
  readonly about: string;
  /** What was found, in a sentence. */
  readonly message: string;
}
