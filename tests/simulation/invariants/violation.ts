/** Something that must always hold, by its number in the design ("What must always hold"), doesn't. */
export interface Violation {
  /** 0: a process stopped on a bug of its own. */
  readonly invariant: number;
  /** A sentence with the ids that it is about. */
  readonly message: string;
}

export function violation(invariant: number, message: string): Violation {
  return { invariant, message };
}
