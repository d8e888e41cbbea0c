/** A call whose result serves all who asked for it before it began. */
export class SharedCall<T> {
  readonly #call: () => Promise<T>;
  #running: Promise<T> | null = null;
  #following: Promise<T> | null = null;

  constructor(call: () => Promise<T>) {
    this.#call = call;
  }

  /** What a call gives that begins after this one was asked for. */
  next(): Promise<T> {
    if (this.#running === null) return this.#begin();
    this.#following ??= this.#running.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#following;
  }

  #begin(): Promise<T> {
    this.#following = null;
    const running = this.#call().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }
}
