import { formatHuman, formatRaw } from '../../base/formatNumber.ts';
import type { Need } from '../jobs/selectTasks.ts';
import { queueCell } from '../session/occupy.ts';
import type { JobErrorEntry, Session } from '../session/session.ts';
import { UNLIMITED } from './fairShare.ts';
import { queueDetails } from './queueDetails.ts';

const UNIT = [1000, 1e9, 1000] as const;
const LIMIT_NAME = ['CPU cores', 'memory', 'GPUs'] as const;
const LIMIT_UNIT = ['cores', 'GB', 'GPUs'] as const;
const QUOTA_NAME = ['CPU cores', 'GB memory', 'GPUs'] as const;
/** First of the three cells of each sum. */
const ALLOCATED = 0;
const NON_PREEMPTIBLE = 3;

/** Where a request would break a limit or quota. */
export interface Violation {
  readonly queue: number;
  readonly resource: number;
  readonly isLimit: boolean;
}

/**
 * Limits of the job's queue and all ancestors, then, for non-preemptible jobs, quotas; the first violation in the order
 * leaf to root, CPU, memory, GPU (spec 02 section 13.1). Null when the request may be allocated.
 */
export function findViolation(s: Session, job: number, need: Need): Violation | null {
  if (!s.plugins.has('proportion')) return null;
  const amounts = [need.milliCpu, need.memoryBytes, need.gpuMilli];
  return (
    firstOver(s, job, amounts, s.queues.limit, ALLOCATED, true) ??
    (s.jobs.isPreemptible[job]! === 1 ? null : firstOver(s, job, amounts, s.queues.quota, NON_PREEMPTIBLE, false))
  );
}

function firstOver(
  s: Session,
  job: number,
  amounts: readonly number[],
  bound: Float64Array,
  firstCell: number,
  isLimit: boolean,
): Violation | null {
  for (let q = s.jobs.queue[job]!; q >= 0; q = s.queues.parent[q]!) {
    for (let r = 0; r < 3; r++) {
      const max = bound[3 * q + r]!;
      if (max === UNLIMITED || amounts[r]! === 0) continue;
      if (max < s.state.cells[queueCell(s, firstCell + r, q)]! + amounts[r]!) return { queue: q, resource: r, isLimit };
    }
  }
  return null;
}

/** Reason, message and details of a violation (spec 02 section 13.2). */
export function violationError(s: Session, job: number, need: Need, v: Violation): JobErrorEntry {
  const q = v.queue;
  const r = v.resource;
  const name = s.queues.displayName[q]!;
  const requested = [need.milliCpu, need.memoryBytes, need.gpuMilli][r]!;
  const unit = UNIT[r]!;
  const used = formatHuman(s.state.cells[queueCell(s, (v.isLimit ? ALLOCATED : NON_PREEMPTIBLE) + r, q)]!, unit);
  const queue = queueDetails(s, job, q, need);
  if (v.isLimit) {
    const what = LIMIT_UNIT[r]!;
    const message =
      `${name} quota has reached the allowable limit of ${LIMIT_NAME[r]!}. Limit is ${formatHuman(s.queues.limit[3 * q + r]!, unit)} ${what}, ` +
      `currently ${used} ${what} allocated and workload requested ${formatHuman(requested, unit)} ${what}`;
    return { reason: 'OverLimit', message, detail: message, subGroup: '', queueDetails: queue };
  }
  const quota = formatHuman(s.queues.quota[3 * q + r]!, unit);
  const what = LIMIT_UNIT[r]!;
  // GPUs of the request are printed as the shortest exact double, everything else cut to three decimals.
  const asked = r === 2 ? formatRaw(requested / unit) : formatHuman(requested, unit);
  const message =
    `Non-preemptible workload is over quota. Workload requested ${asked} ${QUOTA_NAME[r]!}, but ${name} quota is ${quota} ${what}, ` +
    `while ${used} ${what} are already allocated for non-preemptible pods. Use a preemptible workload to go over quota.`;
  return { reason: 'NonPreemptibleOverQuota', message, detail: message, subGroup: '', queueDetails: queue };
}
