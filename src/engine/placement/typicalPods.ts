import { PodFlag, PodPhase, RequestType } from '../../base/codes.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { readConstraints } from '../filters/labels.ts';

/** A demand for GPUs that many pods of the snapshot have in common. */
export interface TypicalPod {
  /** How many pods ask for this. */
  readonly podCount: number;
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly deviceCount: number;
  /** Of each device, 0..1; 1 = whole devices. */
  readonly portion: number;
  /** MiB of each device of a request by memory, else 0. */
  readonly gpuMemoryMib: number;
  /** Any of the signatures with these constraints on the node itself. */
  readonly signatureRow: number;
  /** Selector, required affinity and tolerations as text: equal text, equal nodes. */
  readonly constraintText: string;
}

/** Demands looked at: enough for nine tenths of the GPUs asked for in real clusters, few enough for a loop per node. */
const MOST_TYPICAL = 48;
const NOT_COUNTED = PodFlag.deleting | PodFlag.reservation | PodFlag.scaling;

/**
 * The demands of pending and running pods of jobs, those asking for most GPUs in total first. CPU-only pods, MIG profiles
 * and claims are left out. `largestMib`: memory of the largest device, for the rank of requests by memory. Depends on the
 * content of the snapshot alone, not on rows.
 */
export function typicalPods(view: SnapshotView, largestMib: number): readonly TypicalPod[] {
  const constraintTexts = new Map<number, string>();
  const byKey = new Map<string, TypicalPod>();
  for (const { shapeRow, signatureRow, podCount } of podsPerClass(view)) {
    let constraintText = constraintTexts.get(signatureRow);
    if (constraintText === undefined) {
      constraintText = nodeConstraintText(view, signatureRow);
      constraintTexts.set(signatureRow, constraintText);
    }
    const pod = typicalPod(view, shapeRow, signatureRow, constraintText, podCount);
    const key = contentOf(pod);
    const known = byKey.get(key);
    byKey.set(key, known === undefined ? pod : { ...known, podCount: known.podCount + podCount });
  }
  const ranked = [...byKey].map(([key, pod]) => ({ key, pod, gpus: gpusOf(pod, largestMib) * pod.podCount }));
  ranked.sort((a, b) => b.gpus - a.gpus || (a.key < b.key ? -1 : 1));
  return ranked.slice(0, MOST_TYPICAL).map(({ pod }) => pod);
}

interface ClassCount {
  readonly shapeRow: number;
  readonly signatureRow: number;
  podCount: number;
}

function podsPerClass(view: SnapshotView): Iterable<ClassCount> {
  const { pods, shapes, signatures } = view;
  const byKey = new Map<number, ClassCount>();
  const stride = signatures.used.length;
  for (let p = 0; p < pods.rows; p++) {
    if (pods.used[p] !== 1 || pods.phaseCode[p]! > PodPhase.running || (pods.flags[p]! & NOT_COUNTED) !== 0) continue;
    const shapeRow = pods.shapeRow[p]!;
    const signatureRow = pods.signatureRow[p]!;
    if (pods.groupKeyText[p] === NO_ROW || shapeRow === NO_ROW || signatureRow === NO_ROW) continue;
    if (shapes.gpuCount[shapeRow]! <= 0 || shapes.typeCode[shapeRow] === RequestType.migInstance) continue;
    const key = shapeRow * stride + signatureRow;
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, { shapeRow, signatureRow, podCount: 1 });
    else known.podCount++;
  }
  return byKey.values();
}

function typicalPod(view: SnapshotView, shapeRow: number, signatureRow: number, constraintText: string, podCount: number): TypicalPod {
  const s = view.shapes;
  return {
    podCount,
    milliCpu: s.milliCpu[shapeRow]!,
    memoryBytes: s.memoryBytes[shapeRow]!,
    deviceCount: s.gpuCount[shapeRow]!,
    portion: s.typeCode[shapeRow] === RequestType.regular ? 1 : s.gpuPortion[shapeRow]!,
    gpuMemoryMib: s.typeCode[shapeRow] === RequestType.gpuMemory ? s.gpuMemoryMib[shapeRow]! : 0,
    signatureRow,
    constraintText,
  };
}

function contentOf(p: TypicalPod): string {
  return JSON.stringify([p.deviceCount, p.portion, p.gpuMemoryMib, p.milliCpu, p.memoryBytes, p.constraintText]);
}

function gpusOf(p: TypicalPod, largestMib: number): number {
  return p.deviceCount * (p.gpuMemoryMib > 0 ? Math.min(1, p.gpuMemoryMib / largestMib) : p.portion);
}

function nodeConstraintText(view: SnapshotView, signatureRow: number): string {
  const { nodeSelector, nodeAffinityTerms, tolerations } = readConstraints(view, signatureRow);
  return JSON.stringify([nodeSelector ?? null, nodeAffinityTerms ?? null, tolerations ?? null]);
}
