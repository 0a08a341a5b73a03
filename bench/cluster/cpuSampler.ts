// CPU time of all processes that take part, sampled, so that a window can be chosen afterwards: a cycle's start is known from the log
// only when the cycle is over. On a shared machine CPU time per pod says more than times do.
import type { ClusterSite } from './site.ts';

const PERIOD_MS = 20;
/** Two minutes. */
const MAX_SAMPLES = 6000;

/** Milliseconds of CPU. */
export interface CpuTimes {
  /** API server, etcd, controllers. */
  readonly servers: number;
  /** 0 while no scheduler runs. */
  readonly scheduler: number;
  /** This process: witness, test kubelets, and the bare loop's requests. */
  readonly bench: number;
}

export class CpuSampler {
  readonly #site: ClusterSite;
  readonly #samples: (CpuTimes & { readonly atMs: number })[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(site: ClusterSite) {
    this.#site = site;
    this.#timer = setInterval(() => this.#sample(), PERIOD_MS);
    this.#sample();
  }

  /** Ends the sampling; gives what was spent between the last sample before `fromMs` and the first after `toMs`. */
  stop(fromMs: number, toMs: number): CpuTimes {
    clearInterval(this.#timer);
    this.#sample();
    const first = this.#samples.findLast(({ atMs }) => atMs <= fromMs) ?? this.#samples[0]!;
    const last = this.#samples.find(({ atMs }) => atMs >= toMs) ?? this.#samples.at(-1)!;
    return {
      servers: last.servers - first.servers,
      scheduler: last.scheduler - first.scheduler,
      bench: last.bench - first.bench,
    };
  }

  #sample(): void {
    const { user, system } = process.cpuUsage();
    const { servers, scheduler } = this.#site.cpuMs();
    this.#samples.push({ atMs: performance.now(), servers, scheduler, bench: (user + system) / 1000 });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }
}
