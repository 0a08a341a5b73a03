import { RequestType } from '../../base/codes.ts';
import { parseFloatText, parseInt64 } from './numbers.ts';
import type { Report } from './report.ts';
import { type Amounts, MIG_PREFIX } from './resources.ts';

/** GPU request record of spec 02 section 2.3, without claims, which the engine joins. */
export interface GpuRequest {
  readonly type: RequestType;
  readonly count: number;
  /** Per device as requested; 1 for whole devices, 0 for a pure memory request. */
  readonly portion: number;
  readonly memoryMib: number;
  readonly isLegacyMig: boolean;
  /** MIG profiles: those the containers ask for, none, or the one of the legacy annotation. */
  readonly mig: 'containers' | 'none' | { readonly profile: string; readonly amount: number };
}

/** `total`: the pod's container requests. Steps as numbered in spec 02 section 2.3; later ones override earlier ones. */
export function readGpuRequest(total: Amounts, annotations: Readonly<Record<string, string>>, report: Report): GpuRequest {
  // Step 6 before the others, because it replaces the whole record.
  const legacy = legacyMig(annotations);
  if (legacy !== null) return { type: RequestType.migInstance, count: 0, portion: 0, memoryMib: 0, isLegacyMig: true, mig: legacy };
  const memoryMib = Math.max(0, parseInt64(annotations['gpu-memory']) || 0);
  const portion = portionOf(annotations['gpu-fraction']);
  if (memoryMib > 0 || portion > 0) return sharedRequest(memoryMib, portion, annotations, report);
  const isMig = total.others !== null && [...total.others.keys()].some((name) => name.startsWith(MIG_PREFIX));
  return {
    type: isMig ? RequestType.migInstance : RequestType.regular,
    count: total.gpus,
    portion: total.gpus > 0 ? 1 : 0,
    memoryMib: 0,
    isLegacyMig: false,
    mig: 'containers',
  };
}

/** Steps 2 to 4. A shared request replaces whole devices and MIG profiles (02 section 2.10, deviation). */
function sharedRequest(memoryMib: number, portion: number, annotations: Readonly<Record<string, string>>, report: Report): GpuRequest {
  const type = portion > 0 ? RequestType.fraction : RequestType.gpuMemory;
  const devices = deviceCount(annotations['gpu-fraction-num-devices'], report);
  return {
    type,
    count: devices ?? 1,
    portion,
    // A fraction drops the memory, unless the number of devices brings both back (step 4).
    memoryMib: type === RequestType.fraction && devices === null ? 0 : memoryMib,
    isLegacyMig: false,
    mig: 'none',
  };
}

/** 0 < f ≤ 1, else 0. NaN and Inf are no fractions (02 section 2.3 step 3, deviation). */
function portionOf(text: string | undefined): number {
  const value = parseFloatText(text);
  return value > 0 && value <= 1 ? value : 0;
}

/** null when absent or not an integer. Fewer than one device is a demand that no selection meets (spec 03 section 9.4). */
function deviceCount(text: string | undefined, report: Report): number | null {
  const value = parseInt64(text);
  if (Number.isNaN(value)) return null;
  if (value >= 1) return value;
  report.add('metadata.annotations[gpu-fraction-num-devices]', `${value} devices; must be at least 1, the pod stays pending`);
  return 0;
}

/** Legacy annotation, the lexicographically last key where there are several (step 6, deviation). */
function legacyMig(annotations: Readonly<Record<string, string>>): { profile: string; amount: number } | null {
  let last: { profile: string; amount: number } | null = null;
  for (const key in annotations) {
    if (!key.startsWith(MIG_PREFIX)) continue;
    const amount = parseInt64(annotations[key]);
    if (!Number.isNaN(amount) && (last === null || key > last.profile)) last = { profile: key, amount };
  }
  return last;
}
