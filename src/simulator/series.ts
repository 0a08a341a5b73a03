import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** Points of a run at even distances: when they become too many, every second one goes and the distance doubles. */
export class Series<Point extends { readonly atMs: number }> {
  points: Point[] = [];
  readonly #limit: number;
  #stepMs: number;
  #nextMs = -Infinity;

  constructor(limit: number, stepMs: number) {
    this.#limit = limit;
    this.#stepMs = stepMs;
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#nextMs;
  }

  add(point: Point): void {
    this.points.push(point);
    this.#nextMs = point.atMs + this.#stepMs;
    if (this.points.length < this.#limit) return;
    this.points = this.points.filter((_, i) => i % 2 === 0);
    this.#stepMs *= 2;
  }
}

/** All in milliseconds, to three digits. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
  readonly mean: number;
}

/** Durations of any number in constant memory (a high-dynamic-range histogram of microseconds). */
export class Distribution {
  readonly #histogram: RecordableHistogram = createHistogram();
  count = 0;
  sumMs = 0;

  add(ms: number): void {
    this.count++;
    this.sumMs += ms;
    // The histogram holds integers from 1 on; one microsecond more, taken off again below.
    this.#histogram.record(Math.max(1, Math.round(ms * 1000) + 1));
  }

  percentiles(): Percentiles {
    if (this.count === 0) return { p50: 0, p90: 0, p99: 0, max: 0, mean: 0 };
    const at = (percent: number): number => digits(this.#histogram.percentile(percent) - 1) / 1000;
    const max = digits(this.#histogram.max - 1) / 1000;
    return {
      p50: Math.min(max, at(50)),
      p90: Math.min(max, at(90)),
      p99: Math.min(max, at(99)),
      max,
      mean: digits((this.sumMs / this.count) * 1000) / 1000,
    };
  }
}

function digits(value: number): number {
  return Number(value.toPrecision(3));
}
