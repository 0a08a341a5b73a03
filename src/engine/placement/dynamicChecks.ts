import { SignatureFlag } from '../../base/codes.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { PreparedAffinity } from '../filters/podAffinity.ts';
import { findViolation } from '../queues/capacity.ts';
import { requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { PredicateCode } from './reasons.ts';
import { deviceMib, type Request } from './requests.ts';

/**
 * What distinguishes a task from others of its class: checks whose verdict depends on other pods, on claims or on the
 * queue's sums. A task without any is placed by its class index alone.
 */
export interface DynamicChecks {
  readonly podRow: number;
  readonly job: number;
  readonly request: Request;
  readonly usesPorts: boolean;
  readonly affinity: PreparedAffinity | null;
  readonly usesVolumes: boolean;
  /** Claims are booked against storage capacities as well. */
  readonly usesStorage: boolean;
  readonly usesDra: boolean;
  /** Nomination and pod-affinity scores per node, which stand above every class key; null when all are 0. */
  readonly extra: Float64Array | null;
}

const NOMINATED = 10_000_000;
const AFFINITY = 1_000_000;

/** The checks that a task needs, or null when its class says everything. */
export function dynamicChecks(s: Session, podRow: number, job: number): DynamicChecks | null {
  const flags = s.view.signatures.flags[s.view.pods.signatureRow[podRow]!]!;
  const usesFilters = s.plugins.has('predicates');
  const usesPorts = usesFilters && (flags & SignatureFlag.hostPorts) !== 0 && s.ports.needs(podRow);
  const affinity = usesFilters && s.hasPodAffinity && s.affinity.isRequiredConcern(podRow) ? s.affinity.prepare(podRow) : null;
  const usesVolumes = usesFilters && (flags & SignatureFlag.volumes) !== 0 && s.volumes.prefilter(podRow).result === 'ok';
  const usesStorage = s.csi !== null && (flags & SignatureFlag.volumes) !== 0;
  const usesDra = s.dra.isConcerned(podRow);
  const extra = extraScores(s, podRow);
  if (!usesPorts && affinity === null && !usesVolumes && !usesStorage && !usesDra && extra === null) return null;
  return { podRow, job, request: requestOf(s, podRow), usesPorts, affinity, usesVolumes, usesStorage, usesDra, extra };
}

/** Checks of nothing but the queue's sums: for shared requests, whose GPU amount depends on the node. */
export function capacityOnly(s: Session, podRow: number, job: number): DynamicChecks {
  return {
    podRow,
    job,
    request: requestOf(s, podRow),
    usesPorts: false,
    affinity: null,
    usesVolumes: false,
    usesStorage: false,
    usesDra: false,
    extra: null,
  };
}

function extraScores(s: Session, podRow: number): Float64Array | null {
  const nominatedText = s.view.pods.nominatedNodeText[podRow]!;
  const nominated = s.policies.nominatedNode && nominatedText !== NO_ROW ? s.nodeOfText[nominatedText]! : -1;
  let extra: Float64Array | null = null;
  if (s.policies.podAffinity && s.hasPodAffinity) {
    const scores = new Float64Array(s.state.sizes.nodes);
    if (s.affinity.scoreInto(podRow, scores)) {
      for (let n = 0; n < scores.length; n++) scores[n] = scores[n]! * AFFINITY;
      extra = scores;
    }
  }
  if (nominated < 0) return extra;
  extra ??= new Float64Array(s.state.sizes.nodes);
  extra[nominated] = extra[nominated]! + NOMINATED;
  return extra;
}

/** Code of the first dynamic check that refuses the node, after everything static passed; 0 when all accept. */
export function checkNode(s: Session, c: DynamicChecks, n: number): number {
  if (c.usesStorage && s.csi?.fitsEventually(c.podRow, n, false) === false) return PredicateCode.storageLedger;
  if (c.request.isShared && !fitsQueueOnNode(s, c.podRow, c.job, n)) return PredicateCode.queueCapacity;
  if (c.usesPorts && s.ports.conflicts(c.podRow, n)) return PredicateCode.hostPorts;
  if (c.affinity !== null) {
    const code = c.affinity.check(n);
    if (code !== 0) return code;
  }
  if (c.usesVolumes) {
    const code = s.volumes.check(c.podRow, s.state.facts.row[n]!);
    // The storage ledger replaces the filter's own look at capacities.
    if (code !== 0 && !(c.usesStorage && code === PredicateCode.volumeStorage)) return code;
  }
  return 0;
}

/**
 * Queue limits and quota with the task's amount on this very node (spec 03 section 7.3 step 1). Other requests count the
 * same on every node, so the job's own check covers them.
 */
function fitsQueueOnNode(s: Session, podRow: number, job: number, n: number): boolean {
  return findViolation(s, job, needOnNode(s, podRow, n)) === null;
}

export function needOnNode(s: Session, podRow: number, n: number): { milliCpu: number; memoryBytes: number; gpuMilli: number } {
  const r = requestOf(s, podRow);
  const nodeMib = s.state.facts.gpuMemoryMib[n]!;
  const gpuMilli = r.deviceCount * Math.ceil((deviceMib(r, nodeMib) / nodeMib) * 100) * 10;
  return { milliCpu: r.milliCpu, memoryBytes: r.memoryBytes, gpuMilli };
}
