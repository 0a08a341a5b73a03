import { formatG3, formatHuman } from '../../base/formatNumber.ts';
import { classOf } from '../placement/classIndex.ts';
import { dynamicChecks } from '../placement/dynamicChecks.ts';
import { Lack, occupiedGroups } from '../placement/evaluate.ts';
import { claimColumns } from '../placement/placeTask.ts';
import { preCheck } from '../placement/prepredicates.ts';
import { deviceMib, devicePortion, type Request } from '../placement/requests.ts';
import { requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import type { SlotColumns } from '../state/layout.ts';
import { NO_NODES, nodeReasons } from './nodeReasons.ts';

/**
 * The text of a pod under `--detailed-fit-errors` (spec 01 section 5.5, 03 section 7.4): one line per node that refuses it in
 * the final state of the cycle. `short` is the normal text, used when nothing can be said node by node.
 */
export function detailedPodText(s: Session, podRow: number, short: string): string {
  if (!short.startsWith(NO_NODES)) return `\n${short}.`;
  if (preCheck(s, podRow) !== null) return short;
  const job = s.podSets.job[s.tasks.podSet[podRow]!]!;
  const checks = dynamicChecks(s, podRow, job);
  const request = requestOf(s, podRow);
  const signatureRow = s.view.pods.signatureRow[podRow]!;
  const columns =
    checks?.usesDra === true ? claimColumns(s, podRow, request, signatureRow) : classOf(s.classes, request, signatureRow).columns;
  const isAlone = podCount(s, job) === 1;
  const lines: string[] = [];
  for (let n = 0; n < s.state.sizes.nodes; n++) {
    const reasons = columns.lack[n]! === 0 ? nodeReasons(s, podRow, columns, checks, n) : detailedLack(s, request, columns, n, isAlone);
    if (reasons.length > 0) lines.push(`\n<${s.nodeName[n]!}>: ${reasons.join(', ')}.`);
  }
  if (lines.length === 0) return short;
  lines.push(`\n${NO_NODES}.`);
  return lines.sort().join('');
}

function podCount(s: Session, job: number): number {
  let count = 0;
  for (let set = s.jobs.firstSet[job]!; set < s.jobs.firstSet[job]! + s.jobs.setCount[job]!; set++) count += s.podSets.size[set]!;
  return count;
}

/** Detailed reasons of what a node lacks (spec 01 section 5.6); with several pods in the job only the names. */
function detailedLack(s: Session, r: Request, columns: SlotColumns, n: number, isAlone: boolean): string[] {
  const { facts, ledger: l, sizes } = s.state;
  const bits = columns.lack[n]!;
  const out: string[] = [];
  const plain = (name: string, requested: string, used: string, capacity: string): void => {
    const tail = isAlone ? `requested: ${requested}, used: ${used}, capacity: ${capacity}` : 'taking all considerations into account';
    out.push(`Node didn't have enough resources: ${name}, ${tail}`);
  };
  const scalar = (name: string, requested: number, used: number, capacity: number): void => {
    if (!isAlone) plain(name, '', '', '');
    else out.push(`Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`);
  };
  const scalars = (isMig: number): void => {
    for (let k = 0; k < r.scalarDim.length; k++) {
      const at = r.scalarDim[k]! * sizes.nodes + n;
      if (r.isMigDim[k] !== isMig || ((bits >> Math.min(Lack.firstScalar + k, Lack.lastScalar)) & 1) === 0) continue;
      scalar(s.dimNames[r.scalarDim[k]!]!, r.scalarAmount[k]!, l.usedScalar[at]!, facts.allocScalar[at]!);
    }
  };
  const mib = facts.gpuMemoryMib[n]!;
  scalars(1);
  if ((bits & Lack.gpus) !== 0)
    plain('GPUs', requestedGpuText(r, mib), formatG3(l.usedGpu[n]! + occupiedGroups(s.state, n)), formatG3(facts.allocGpu[n]!));
  if ((bits & Lack.gpuMemory) !== 0) {
    if (!isAlone) plain('GPU memory', '', '', '');
    else {
      const text = `Each gpu on the node has a gpu memory capacity of ${mib} Mib. ${deviceMib(r, mib)} Mib of gpu memory has been requested.`;
      out.push(`Node didn't have enough resources: ${text}`);
    }
  }
  if ((bits & Lack.cpu) !== 0) {
    plain('CPU cores', formatHuman(r.milliCpu, 1000), formatHuman(l.usedMilliCpu[n]!, 1000), formatHuman(facts.allocMilliCpu[n]!, 1000));
  }
  if ((bits & Lack.memory) !== 0) {
    plain('memory', formatHuman(r.memoryBytes, 1e9), formatHuman(l.usedMemoryBytes[n]!, 1e9), formatHuman(facts.allocMemoryBytes[n]!, 1e9));
  }
  if ((bits & Lack.pods) !== 0) scalar('pods', 1, l.usedPods[n]!, facts.allocPods[n]!);
  scalars(0);
  return out;
}

function requestedGpuText(r: Request, nodeMib: number): string {
  if (r.isShared && r.deviceCount > 1) return `${r.deviceCount} X ${formatG3(devicePortion(r, nodeMib))}`;
  return formatG3(r.isShared ? devicePortion(r, nodeMib) : r.wholeGpus);
}
