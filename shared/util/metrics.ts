/**
 * Numbers about a running program, in the text format that Prometheus reads. Whoever counts defines a metric once and keeps
 * it; label values must come from small closed sets, since every combination is kept for ever.
 */

export interface MetricDefinition {
  /** Ends in its unit (`_seconds`, `_bytes`), or in `_total` for what only grows. */
  readonly name: string;
  readonly help: string;
  /** Names of the labels; values are given in the same order. */
  readonly labels?: readonly string[];
}

export interface Counter {
  add(amount: number, labelValues?: readonly string[]): void;
}

export interface Histogram {
  observe(value: number, labelValues?: readonly string[]): void;
}

/** What code that counts is given. */
export interface Metrics {
  counter(definition: MetricDefinition): Counter;
  /** `bounds` are the upper ends of the buckets, ascending; the last bucket has none. */
  histogram(definition: MetricDefinition & { readonly bounds: readonly number[] }): Histogram;
}

/** One value as it is now, for what isn't counted but looked up when somebody asks. */
export interface Gauge extends MetricDefinition {
  readonly values: readonly { readonly labelValues?: readonly string[]; readonly value: number }[];
}

/** What a histogram says of all that it has seen. */
export interface Summary {
  readonly count: number;
  readonly mean: number;
  /** By the bucket that it falls into, as if the values there were spread evenly. `share` is from 0 to 1. */
  quantile(share: number): number;
}

interface Series {
  readonly definition: MetricDefinition;
  readonly type: 'counter' | 'histogram';
  lines(): string[];
  summary?(): Summary | null;
}

export class MetricsRegistry implements Metrics {
  readonly #series = new Map<string, Series>();

  counter(definition: MetricDefinition): Counter {
    const sums = new Map<string, number>();
    this.#add({
      definition,
      type: 'counter',
      lines: () => [...sums].map(([labels, sum]) => `${definition.name}${labels} ${numberText(sum)}`),
    });
    return {
      add(amount, labelValues = []) {
        const labels = labelText(definition, labelValues);
        sums.set(labels, (sums.get(labels) ?? 0) + amount);
      },
    };
  }

  histogram(definition: MetricDefinition & { readonly bounds: readonly number[] }): Histogram {
    const all = new Map<string, Distribution>();
    this.#add({
      definition,
      type: 'histogram',
      lines: () => [...all.values()].flatMap((one) => one.lines()),
      summary: () => all.get('')?.summary() ?? null,
    });
    return {
      observe(value, labelValues = []) {
        const key = labelText(definition, labelValues);
        const known = all.get(key);
        const distribution = known ?? new Distribution(definition, labelValues);
        if (known === undefined) all.set(key, distribution);
        distribution.observe(value);
      },
    };
  }

  /** Everything that was counted, and these values of now, as text of the format's version 0.0.4. */
  expose(gauges: readonly Gauge[] = []): string {
    const counted = [...this.#series.values()].flatMap((series) => [
      ...heading(series.definition, series.type),
      ...series.lines(),
    ]);
    const lookedUp = gauges.flatMap((gauge) => [
      ...heading(gauge, 'gauge'),
      ...gauge.values.map(
        ({ labelValues = [], value }) => `${gauge.name}${labelText(gauge, labelValues)} ${numberText(value)}`,
      ),
    ]);
    return `${[...counted, ...lookedUp].join('\n')}\n`;
  }

  /** Of a histogram without labels; null where there is none of this name, or it has seen nothing yet. */
  summary(name: string): Summary | null {
    return this.#series.get(name)?.summary?.() ?? null;
  }

  #add(series: Series): void {
    const { name } = series.definition;
    if (this.#series.has(name)) throw new Error(`the metric ${name} is defined twice`);
    this.#series.set(name, series);
  }
}

class Distribution {
  readonly #definition: MetricDefinition & { readonly bounds: readonly number[] };
  readonly #labelValues: readonly string[];
  /** How many values fell into each bucket; one more than there are bounds. */
  readonly #counts: number[];
  #sum = 0;

  constructor(definition: MetricDefinition & { readonly bounds: readonly number[] }, labelValues: readonly string[]) {
    this.#definition = definition;
    this.#labelValues = labelValues;
    this.#counts = Array.from({ length: definition.bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    const found = this.#definition.bounds.findIndex((bound) => value <= bound);
    const bucket = found < 0 ? this.#counts.length - 1 : found;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
  }

  summary(): Summary {
    const count = this.#counts.reduce((sum, one) => sum + one, 0);
    return { count, mean: this.#sum / count, quantile: (share) => this.#quantile(share * count) };
  }

  /** What lies above the last bound counts as if it were that. */
  #quantile(rank: number): number {
    const { bounds } = this.#definition;
    let below = 0;
    for (const [index, count] of this.#counts.entries()) {
      const [from, to] = [bounds[index - 1] ?? 0, bounds[index]];
      if (to === undefined) return from;
      if (count > 0 && below + count >= rank) return from + ((to - from) * (rank - below)) / count;
      below += count;
    }
    return 0;
  }

  lines(): string[] {
    const { name, bounds, labels = [] } = this.#definition;
    const withBound = { name, help: '', labels: [...labels, 'le'] };
    let total = 0;
    const buckets = this.#counts.map((count, index) => {
      total += count;
      const bound = bounds[index];
      const labelValues = [...this.#labelValues, bound === undefined ? '+Inf' : String(bound)];
      return `${name}_bucket${labelText(withBound, labelValues)} ${total}`;
    });
    const own = labelText(this.#definition, this.#labelValues);
    return [...buckets, `${name}_sum${own} ${numberText(this.#sum)}`, `${name}_count${own} ${total}`];
  }
}

function heading({ name, help }: MetricDefinition, type: string): string[] {
  return [`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${name} ${type}`];
}

function labelText({ labels = [] }: MetricDefinition, values: readonly string[]): string {
  if (labels.length === 0) return '';
  return `{${labels.map((label, index) => `${label}="${escapeLabel(values[index] ?? '')}"`).join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}
