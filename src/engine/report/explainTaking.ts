import { formatHuman } from '../../base/formatNumber.ts';
import { needOf } from '../jobs/selectTasks.ts';
import { UNLIMITED } from '../queues/fairShare.ts';
import { queueCell } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { holdsPods } from '../victims/eligibility.ts';

const RESOURCE = [
  { unit: 1000, name: 'CPU cores' },
  { unit: 1e9, name: 'GB of memory' },
  { unit: 1000, name: 'GPUs' },
] as const;

/** Why the configured actions that take from others did not serve a job (spec 04 section 2), as things stand after the cycle. */
export function explainTaking(s: Session, job: number, tasks: readonly number[]): { action: string; text: string }[] {
  const asked = s.config.actions.filter((name) => name === 'consolidation' || name === 'reclaim' || name === 'preempt');
  const delay = (s.errors.job.get(job) ?? []).find((e) => e.reason === 'PreemptionDelayNotElapsed');
  if (delay !== undefined) return asked.map((action) => ({ action, text: delay.message }));
  return asked.map((action) => ({ action, text: textOf(s, action, job, tasks) }));
}

function textOf(s: Session, action: string, job: number, tasks: readonly number[]): string {
  if (action === 'consolidation') {
    if (s.config.params.maxNumberConsolidationPreemptees === 0) return 'it is switched off (no job may be moved)';
    return s.jobs.isPreemptible[job] === 1 ? 'moving running jobs makes no room' : 'it serves preemptible jobs only';
  }
  if (action === 'reclaim') return reclaimText(s, job, tasks);
  const queue = s.jobs.queue[job]!;
  const isThere = candidates(s, job).some((other) => s.jobs.queue[other] === queue && s.jobs.priority[other]! < s.jobs.priority[job]!);
  if (!isThere) return `no preemptible job of a priority below ${s.jobs.priority[job]!} holds pods in queue ${s.queues.name[queue]!}`;
  return `the jobs of a priority below ${s.jobs.priority[job]!} in queue ${s.queues.name[queue]!} do not make enough room`;
}

/** The gate of spec 02 section 14.1, then what is left of it: other queues have nothing to give that helps. */
function reclaimText(s: Session, job: number, tasks: readonly number[]): string {
  const q = s.jobs.queue[job]!;
  const need = needOf(s, tasks, s.minGpuMib, true);
  const amounts = [need.milliCpu, need.memoryBytes, need.gpuMilli];
  for (let r = 0; r < 3; r++) {
    const after = s.state.cells[queueCell(s, r, q)]! + amounts[r]!;
    const share = s.queues.fairShare[3 * q + r]!;
    const { unit, name } = RESOURCE[r]!;
    if (after > share)
      return `with it, queue ${s.queues.name[q]!} would use ${formatHuman(after, unit)} ${name}; its fair share is ${formatHuman(share, unit)}`;
  }
  for (let r = 0; r < 3 && s.jobs.isPreemptible[job] === 0; r++) {
    const after = s.state.cells[queueCell(s, 3 + r, q)]! + amounts[r]!;
    const quota = s.queues.quota[3 * q + r]!;
    const { unit, name } = RESOURCE[r]!;
    if (quota !== UNLIMITED && after > quota) {
      return `it is non-preemptible, and with it queue ${s.queues.name[q]!} would use ${formatHuman(after, unit)} ${name} of its quota of ${formatHuman(quota, unit)}`;
    }
  }
  if (!candidates(s, job).some((other) => s.jobs.queue[other] !== q)) return 'no preemptible job of another queue holds pods';
  return 'what other queues hold above their share does not make enough room';
}

/** Preemptible jobs of leaf queues that hold pods. */
function candidates(s: Session, job: number): number[] {
  const out: number[] = [];
  for (let other = 0; other < s.jobs.count; other++) {
    const queue = s.jobs.queue[other]!;
    if (other !== job && queue >= 0 && s.queues.isLeaf[queue] === 1 && s.jobs.isPreemptible[other] === 1 && holdsPods(s, other))
      out.push(other);
  }
  return out;
}
