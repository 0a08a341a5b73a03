import { RequestType } from '../../base/codes.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';

/** A request shape as the engine computes with it. One object per shape row, shared by all pods of the shape. */
export interface Request {
  readonly shapeRow: number;
  readonly type: RequestType;
  readonly milliCpu: number;
  readonly memoryBytes: number;
  /** Whole devices, also beside MIG profiles; 0 for shared requests. */
  readonly wholeGpus: number;
  /** Fraction or GPU-memory request: devices are shared and chosen by the scheduler. */
  readonly isShared: boolean;
  /** Devices of a shared request. */
  readonly deviceCount: number;
  readonly portion: number;
  /** MiB per device of a shared request that names memory, else 0. */
  readonly gpuMemoryMib: number;
  /** `ext(portion, count)` of spec 02 section 2.3 in hundredths of a device, an integer. */
  readonly gpuHundredths: number;
  readonly isLegacyMig: boolean;
  /** Other resources by dimension (index into the cycle's resource names), MIG profiles included. */
  readonly scalarDim: Int32Array;
  readonly scalarAmount: Float64Array;
  /** 1 where the dimension is a MIG profile. */
  readonly isMigDim: Uint8Array;
  /** Σ g × count over MIG profiles (spec 02 section 2.3). */
  readonly migGpus: number;
  /** A GPU task even without claims (spec 03 section 3.3). */
  readonly isGpuTask: boolean;
  /** Pod overhead in the same dimensions, or null. */
  readonly overhead: Overhead | null;
}

export interface Overhead {
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly amounts: Readonly<Record<string, number>>;
}

/** GPUs that one instance of a MIG profile counts as: the integer before `g` in `nvidia.com/mig-<G>g.<M>gb`, else 0. */
export function migGpusOf(profile: string): number {
  const match = /^nvidia\.com\/mig-(\d+)g\.(\d+)gb$/.exec(profile);
  return match === null ? 0 : Number(match[1]);
}

/** `round_half_away_from_zero(portion × 100) × count`: hundredths of a device, an integer (spec 02 section 2.3). */
export function gpuHundredths(portion: number, count: number): number {
  return Math.sign(portion) * Math.floor(Math.abs(portion) * 100 + 0.5) * count;
}

/** Parses a `*_json` text of amounts; null for NO_ROW. Keys come sorted. */
export function readAmounts(view: SnapshotView, textRow: number): Readonly<Record<string, number>> | null {
  return textRow === NO_ROW ? null : (JSON.parse(view.texts.get(textRow)) as Record<string, number>);
}

/** Builds the request of a shape. `dimOf` gives the dimension of a resource name, −1 when the cycle does not know it. */
export function readRequest(view: SnapshotView, shapeRow: number, dimOf: (name: string) => number): Request {
  const s = view.shapes;
  const type = s.typeCode[shapeRow]! as RequestType;
  const isShared = type === RequestType.fraction || type === RequestType.gpuMemory;
  const count = s.gpuCount[shapeRow]!;
  const portion = s.gpuPortion[shapeRow]!;
  const names = readAmounts(view, s.scalarsJson[shapeRow]!) ?? {};
  const dims: number[] = [];
  const amounts: number[] = [];
  const mig: number[] = [];
  let migGpus = 0;
  for (const name of Object.keys(names)) {
    const dim = dimOf(name);
    if (dim < 0) continue;
    const isMig = name.startsWith('nvidia.com/mig-');
    dims.push(dim);
    amounts.push(names[name]!);
    mig.push(isMig ? 1 : 0);
    if (isMig) migGpus += migGpusOf(name) * names[name]!;
  }
  // Whole GPUs may stand beside MIG profiles.
  const isWhole = type === RequestType.regular || type === RequestType.migInstance;
  const hundredths = isWhole ? count * 100 : gpuHundredths(portion, count);
  const overhead = readAmounts(view, s.overheadJson[shapeRow]!);
  return {
    shapeRow,
    type,
    milliCpu: s.milliCpu[shapeRow]!,
    memoryBytes: s.memoryBytes[shapeRow]!,
    wholeGpus: isWhole ? count : 0,
    isShared,
    deviceCount: isShared ? count : 0,
    portion: isShared ? portion : 0,
    gpuMemoryMib: isShared ? s.gpuMemoryMib[shapeRow]! : 0,
    gpuHundredths: hundredths,
    isLegacyMig: s.isLegacyMig[shapeRow]! === 1,
    scalarDim: Int32Array.from(dims),
    scalarAmount: Float64Array.from(amounts),
    isMigDim: Uint8Array.from(mig),
    migGpus,
    isGpuTask: hundredths > 0 || type === RequestType.gpuMemory || type === RequestType.migInstance,
    overhead: overhead === null ? null : { milliCpu: overhead['cpu'] ?? 0, memoryBytes: overhead['memory'] ?? 0, amounts: overhead },
  };
}

/** Memory of a shared request on one device of a node with `nodeMib` per device (spec 03 section 3.5). */
export function deviceMib(r: Request, nodeMib: number): number {
  return r.gpuMemoryMib > 0 ? r.gpuMemoryMib : Math.trunc(r.portion * nodeMib);
}

/** Portion of one device on a node, in double arithmetic as spec 03 section 3.5 asks. */
export function devicePortion(r: Request, nodeMib: number): number {
  return r.gpuMemoryMib > 0 ? Math.ceil((r.gpuMemoryMib / nodeMib) * 100) / 100 : r.portion;
}
