import { readFile } from 'node:fs/promises';
import { KaiError } from '../../base/errors.ts';
import type { Node, Pod, PodGroup } from '../../base/objects.ts';

// The openb trace: nodes `sn,cpu_milli,memory_mib,gpu,model`, pods `name,cpu_milli,memory_mib,num_gpu,gpu_milli[,gpu_spec,…]`.

export interface OpenbNode {
  readonly name: string;
  readonly milliCpu: number;
  readonly memoryMib: number;
  readonly gpuCount: number;
  /** '' on CPU-only nodes. */
  readonly gpuModel: string;
}

export interface OpenbPod {
  readonly name: string;
  readonly milliCpu: number;
  readonly memoryMib: number;
  readonly gpuCount: number;
  /** Share of one GPU when `gpuCount` is 1, else 1000; 0 without GPU. */
  readonly gpuMilli: number;
  /** Allowed GPU models; empty = any. */
  readonly gpuModels: readonly string[];
}

export interface OpenbTrace {
  readonly nodes: readonly OpenbNode[];
  readonly pods: readonly OpenbPod[];
}

export const OPENB_NAMESPACE = 'openb';
const GPU_MODEL_LABEL = 'alibabacloud.com/gpu-card-model';

/**
 * MiB per device. The trace names only models; G2 and G3 are its own names for cards that it does not disclose, taken here
 * as 24 GiB and 80 GiB. Memory matters only to requests by GPU memory, of which the trace has none.
 */
const MEMORY_MIB_BY_MODEL: Readonly<Record<string, number>> = Object.freeze({
  P100: 16384,
  T4: 15360,
  V100M16: 16384,
  V100M32: 32768,
  A10: 24576,
  G2: 24576,
  G3: 81920,
});
const MEMORY_MIB_OF_OTHERS = 16384;
const PODS_PER_NODE = 110;

/** Reads the two files of a trace. Throws KaiError naming file, line and column when one is not of that form. */
export async function loadOpenb(nodeFile: string, podFile: string): Promise<OpenbTrace> {
  const [nodeText, podText] = await Promise.all([readText(nodeFile), readText(podFile)]);
  return { nodes: parseOpenbNodes(nodeText, nodeFile), pods: parseOpenbPods(podText, podFile) };
}

export function parseOpenbNodes(text: string, source: string): readonly OpenbNode[] {
  return parseCsv(text, source, ['sn', 'cpu_milli', 'memory_mib', 'gpu', 'model'], (row) => ({
    name: row.text('sn'),
    milliCpu: row.amount('cpu_milli'),
    memoryMib: row.amount('memory_mib'),
    gpuCount: row.amount('gpu'),
    gpuModel: row.text('model'),
  }));
}

export function parseOpenbPods(text: string, source: string): readonly OpenbPod[] {
  return parseCsv(text, source, ['name', 'cpu_milli', 'memory_mib', 'num_gpu', 'gpu_milli'], (row) => ({
    name: row.text('name'),
    milliCpu: row.amount('cpu_milli'),
    memoryMib: row.amount('memory_mib'),
    gpuCount: row.amount('num_gpu'),
    gpuMilli: row.amount('gpu_milli'),
    gpuModels: [...new Set(row.text('gpu_spec').split('|'))].filter((model) => model !== ''),
  }));
}

export function openbNodeObject(record: OpenbNode): Node {
  const memory = MEMORY_MIB_BY_MODEL[record.gpuModel] ?? MEMORY_MIB_OF_OTHERS;
  const gpuLabels = {
    [GPU_MODEL_LABEL]: record.gpuModel,
    'nvidia.com/gpu.product': record.gpuModel,
    'nvidia.com/gpu.count': String(record.gpuCount),
    'nvidia.com/gpu.memory': String(memory),
  };
  const amounts = { cpu: `${record.milliCpu}m`, memory: `${record.memoryMib}Mi`, pods: PODS_PER_NODE };
  const allocatable = record.gpuCount > 0 ? { ...amounts, 'nvidia.com/gpu': record.gpuCount } : amounts;
  return {
    metadata: {
      name: record.name,
      uid: record.name,
      labels: { 'kubernetes.io/hostname': record.name, ...(record.gpuCount > 0 ? gpuLabels : {}) },
    },
    status: { allocatable, capacity: allocatable, conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

/** A pod of the trace as a job of its own. `name` is given, because a pod may be drawn several times. */
export function openbPodObjects(record: OpenbPod, name: string, createdMs: number, queue: string): { pod: Pod; podGroup: PodGroup } {
  const creationTimestamp = new Date(createdMs).toISOString();
  const isShared = record.gpuCount === 1 && record.gpuMilli < 1000;
  const amounts = { cpu: `${record.milliCpu}m`, memory: `${record.memoryMib}Mi` };
  const requests = record.gpuCount > 0 && !isShared ? { ...amounts, 'nvidia.com/gpu': record.gpuCount } : amounts;
  const affinity = record.gpuModels.length > 0 && record.gpuCount > 0 ? modelAffinity(record.gpuModels) : undefined;
  return {
    pod: {
      metadata: {
        name,
        namespace: OPENB_NAMESPACE,
        uid: `${OPENB_NAMESPACE}/${name}`,
        creationTimestamp,
        labels: { 'kai.scheduler/queue': queue },
        annotations: { 'pod-group-name': name, ...(isShared ? { 'gpu-fraction': String(record.gpuMilli / 1000) } : {}) },
      },
      spec: {
        schedulerName: 'kai-scheduler',
        containers: [{ name: 'main', resources: { requests } }],
        ...(affinity === undefined ? {} : { affinity }),
      },
      status: { phase: 'Pending' },
    },
    podGroup: {
      metadata: {
        name,
        namespace: OPENB_NAMESPACE,
        uid: `${OPENB_NAMESPACE}/${name}`,
        creationTimestamp,
        labels: { 'kai.scheduler/queue': queue },
      },
      spec: { queue, minMember: 1 },
    },
  };
}

function modelAffinity(models: readonly string[]): Pod['spec']['affinity'] {
  const expression = { key: GPU_MODEL_LABEL, operator: 'In', values: models };
  return {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [expression] }] } },
  };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new KaiError('UNREADABLE', `${file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

interface CsvRow {
  /** '' for a column that the file does not have. */
  text(column: string): string;
  /** A whole number ≥ 0. */
  amount(column: string): number;
}

/** The trace's own files have a header line and neither quotes nor escaped commas. */
function parseCsv<T>(text: string, source: string, required: readonly string[], make: (row: CsvRow) => T): readonly T[] {
  const lines = text.split(/\r?\n/);
  const columns = (lines[0] ?? '').replace(/^\ufeff/, '').split(',');
  const missing = required.find((name) => !columns.includes(name));
  if (missing !== undefined) throw new KaiError('BAD_TRACE', `${source}: no column "${missing}" in the header line`);
  const records: T[] = [];
  for (let i = 1; i < lines.length; i++) {
    if (lines[i] === '') continue;
    const cells = lines[i]!.split(',');
    const textOf = (column: string): string => cells[columns.indexOf(column)] ?? '';
    const amountOf = (column: string): number => {
      const cell = textOf(column);
      const value = Number(cell);
      if (/^\d+(\.0*)?$/.test(cell) && Number.isSafeInteger(value)) return value;
      throw new KaiError('BAD_TRACE', `${source}: line ${i + 1}: ${column}: expected a whole number, found "${cell}"`);
    };
    records.push(make({ text: textOf, amount: amountOf }));
  }
  return records;
}
