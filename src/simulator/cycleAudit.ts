import { createAuditor, type Finding } from '../audit/audit.ts';
import type { SchedulerConfig } from '../base/config.ts';
import { type ClusterObjects, LIST_NAMES } from '../base/objects.ts';
import type { SnapshotOptions } from '../base/snapshotView.ts';
import type { CycleResult } from '../runner/cycleRunner.ts';
import type { EmbeddedCluster } from './cluster.ts';

/** Findings that are kept word for word; the others are only counted. */
const KEPT_FINDINGS = 100;

export interface TimedFinding extends Finding {
  /** Virtual time of the cycle since the beginning of the simulation. */
  readonly atMs: number;
}

/** What the auditor saw and found in a run. */
export interface AuditSummary {
  readonly cycles: number;
  readonly decisions: number;
  readonly findings: number;
  /** The first of them. */
  readonly examples: readonly TimedFinding[];
}

/** Audits cycle by cycle, each on the objects that its snapshot was made of. */
export class CycleAudit {
  readonly #audit = createAuditor();
  readonly #config: SchedulerConfig;
  readonly #options: SnapshotOptions;
  readonly #startMs: number;
  readonly #examples: TimedFinding[] = [];
  #cycles = 0;
  #decisions = 0;
  #findings = 0;

  /** `options`: as those of the snapshots. */
  constructor(config: SchedulerConfig, options: SnapshotOptions, startMs: number) {
    this.#config = config;
    this.#options = options;
    this.#startMs = startMs;
  }

  /** To be called before the decisions are carried out. */
  check(cluster: EmbeddedCluster, { decisions, report }: Pick<CycleResult, 'decisions' | 'report'>): void {
    const { nowMs } = cluster;
    const objects = Object.fromEntries(LIST_NAMES.map((list) => [list, cluster.list(list)])) as unknown as ClusterObjects;
    const found = this.#audit({ objects, config: this.#config, nowMs, decisions, report, options: this.#options });
    this.#cycles++;
    this.#decisions += decisions.length;
    this.#findings += found.length;
    for (const finding of found.slice(0, KEPT_FINDINGS - this.#examples.length)) {
      this.#examples.push({ ...finding, atMs: nowMs - this.#startMs });
    }
  }

  summary(): AuditSummary {
    return { cycles: this.#cycles, decisions: this.#decisions, findings: this.#findings, examples: this.#examples };
  }
}

/** Several runs as one. */
export function sumAudits(audits: readonly AuditSummary[]): AuditSummary {
  const sum = (field: 'cycles' | 'decisions' | 'findings'): number => audits.reduce((total, a) => total + a[field], 0);
  const examples = audits.flatMap((a) => a.examples).slice(0, KEPT_FINDINGS);
  return { cycles: sum('cycles'), decisions: sum('decisions'), findings: sum('findings'), examples };
}
