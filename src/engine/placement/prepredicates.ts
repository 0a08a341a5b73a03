import { RequestType, SignatureFlag } from '../../base/codes.ts';
import { formatHuman } from '../../base/formatNumber.ts';
import { readConstraints } from '../filters/labels.ts';
import { nodeAffinityPrefilterError } from '../filters/nodeConstraints.ts';
import { requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import type { Request } from './requests.ts';

/** A check that failed before any node was tried (spec 03 section 7.2). */
export interface PreFailure {
  /** The whole text of the pod's fit error. */
  readonly text: string;
  /** Text of the first failure that no eviction can cure, or null. */
  readonly invariant: string | null;
}

const STORAGE = new Set(['ephemeral-storage', 'storage']);

/** Runs the pre-predicates of a task; null when all pass. Order of lines: the table of spec 03 section 7.2. */
export function preCheck(s: Session, podRow: number): PreFailure | null {
  const lines: string[] = [];
  let invariant: string | null = null;
  const fail = (name: string, error: string, isInvariant: boolean): void => {
    lines.push(`${name}: ${error}.\n`);
    if (isInvariant) invariant ??= error;
  };
  if (s.plugins.has('predicates')) {
    const signatureRow = s.view.pods.signatureRow[podRow]!;
    const flags = s.view.signatures.flags[signatureRow]!;
    if ((flags & SignatureFlag.nodeAffinity) !== 0) {
      const error = nodeAffinityPrefilterError(readConstraints(s.view, signatureRow));
      if (error !== null) fail('NodeAffinity', error, false);
    }
    if ((flags & SignatureFlag.volumes) !== 0) {
      const result = s.volumes.prefilter(podRow);
      if (result.result === 'error') fail('VolumeBinding', result.reasons.join(', '), result.isUnresolvable);
    }
    const tooBig = largerThanEveryNode(s, podRow);
    if (tooBig !== null) fail('MaxNodePoolResources', tooBig, true);
    if ((flags & SignatureFlag.configMaps) !== 0) {
      const missing = s.configMaps.missing(signatureRow);
      if (missing.length > 0) fail('ConfigMap', `Missing required configmaps: [${missing.join(' ')}]`, true);
    }
  }
  if (lines.length > 0) return { text: `Scheduling conditions were not met for pod ${nameOf(s, podRow)}:\n${lines.join('')}`, invariant };
  if (s.plugins.has('dynamicresources') && s.dra.isConcerned(podRow)) {
    const error = s.dra.precheck(podRow, nameOf(s, podRow), queueOf(s, podRow));
    if (error !== null) return { text: error, invariant: null };
  }
  return null;
}

function nameOf(s: Session, podRow: number): string {
  return s.view.texts.get(s.view.pods.keyText[podRow]!);
}

function queueOf(s: Session, podRow: number): string {
  const podSet = s.tasks.podSet[podRow]!;
  const queue = podSet < 0 ? -1 : s.jobs.queue[s.podSets.job[podSet]!]!;
  return queue < 0 ? '' : s.queues.name[queue]!;
}

/** Largest allocatable amount of any node per resource; one pass per cycle. */
export interface NodeMaxima {
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly gpus: number;
  readonly pods: number;
  readonly scalars: Float64Array;
}

export function nodeMaxima(s: Pick<Session, 'state'>): NodeMaxima {
  const { facts, sizes } = s.state;
  const largest = (column: Float64Array): number => column.reduce((max, v) => Math.max(max, v), 0);
  const scalars = new Float64Array(sizes.dims);
  for (let d = 0; d < sizes.dims; d++) scalars[d] = largest(facts.allocScalar.subarray(d * sizes.nodes, (d + 1) * sizes.nodes));
  return {
    milliCpu: largest(facts.allocMilliCpu),
    memoryBytes: largest(facts.allocMemoryBytes),
    gpus: largest(facts.allocGpu),
    pods: largest(facts.allocPods),
    scalars,
  };
}

/** Text of MaxNodePoolResources, null when some node is large enough in every dimension taken by itself. */
function largerThanEveryNode(s: Session, podRow: number): string | null {
  const r = requestOf(s, podRow);
  const max = s.maxima;
  const gpus = r.gpuHundredths / 100 + s.dra.gpuCountOf(podRow);
  let topped: string | null = null;
  if (gpus > max.gpus) topped = toppedAt(s, 'GPU', formatHuman(max.gpus, 1), '', max.gpus === 0);
  else if (r.milliCpu > max.milliCpu) topped = toppedAt(s, 'CPU', formatHuman(max.milliCpu, 1000), ' cores', max.milliCpu === 0);
  else if (r.memoryBytes > max.memoryBytes) topped = toppedAt(s, 'memory', formatHuman(max.memoryBytes, 1e9), ' GB', max.memoryBytes === 0);
  else if (max.pods < 1) topped = toppedAt(s, 'pods', '0', '', true);
  else {
    for (let k = 0; k < r.scalarDim.length && topped === null; k++) {
      const dim = r.scalarDim[k]!;
      const name = s.dimNames[dim]!;
      const most = max.scalars[dim]!;
      if (r.scalarAmount[k]! <= most || (most === 0 && s.evaluator.delegatedDims[dim] === 1)) continue;
      const isStorage = STORAGE.has(name);
      topped = toppedAt(s, name, isStorage ? formatHuman(most, 1e9) : formatHuman(most, 1), isStorage ? ' GB' : '', most === 0);
    }
  }
  return topped === null ? null : `The pod ${nameOf(s, podRow)} requires ${describe(s, r, s.dra.gpuCountOf(podRow))}. ${topped}`;
}

function toppedAt(s: Session, name: string, amount: string, unit: string, isNone: boolean): string {
  const pool = s.config.params.nodePoolLabelValue === '' ? 'default' : s.config.params.nodePoolLabelValue;
  if (isNone) return `No node in the ${pool} node-pool has ${name} resources`;
  return `Max ${name} resources available in a single node in the ${pool} node-pool is topped at ${amount}${unit}`;
}

/** *resourcesDetailed* of spec 01 section 5.1: GPUs, CPU, memory, pods, other names sorted, MIG profiles. */
function describe(s: Session, r: Request, draGpus: number): string {
  const quota = r.gpuHundredths / 100 + draGpus + r.migGpus;
  let text = `GPU: ${formatHuman(quota, 1)}, CPU: ${formatHuman(r.milliCpu, 1000)} (cores), memory: ${formatHuman(r.memoryBytes, 1e9)} (GB), pods: 1`;
  let mig = '';
  for (let k = 0; k < r.scalarDim.length; k++) {
    const amount = r.scalarAmount[k]!;
    const name = s.dimNames[r.scalarDim[k]!]!;
    if (amount === 0) continue;
    if (r.isMigDim[k] === 1) mig += `, mig ${name}: ${amount}`;
    else if (STORAGE.has(name)) text += `, ${name}: ${formatHuman(amount, 1e9)} (GB)`;
    else text += `, ${name}: ${formatHuman(amount, 1)}`;
  }
  return r.type === RequestType.migInstance ? text + mig : text;
}
