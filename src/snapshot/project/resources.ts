// Amounts by resource name: which names count, in which unit (spec 02 section 2.1, 03 section 3.1).
import type { AmountsJson, PlainAmounts } from '../../base/jsonColumns.ts';
import type { ResourceList } from '../../base/objects.ts';
import { addExact, describeBadQuantity, type ExactAmount, exactToMilliCeil, exactToValueCeil, parseExact } from '../../base/quantity.ts';
import { canonicalJson } from './canonicalJson.ts';
import type { Report } from './report.ts';

export const MIG_PREFIX = 'nvidia.com/mig-';
const QUALIFIED = /^(?=[^/]{1,253}\/)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** How a resource name counts: devices, plain values, milli-units, or not at all. */
type ResourceUnit = 'cpu' | 'memory' | 'gpu' | 'value' | 'milli' | 'none';

/** Only the two vendor names are GPUs; other names that end in "gpu" are ordinary resources (02 section 2.9, deviation). */
export function unitOf(name: string): ResourceUnit {
  switch (name) {
    case 'cpu':
      return 'cpu';
    case 'memory':
      return 'memory';
    case 'nvidia.com/gpu':
    case 'amd.com/gpu':
      return 'gpu';
    case 'ephemeral-storage':
    case 'storage':
      return 'value';
  }
  if (name.startsWith(MIG_PREFIX)) return 'value';
  if (name.startsWith('hugepages-') || name.startsWith('attachable-volumes-') || name.includes('kubernetes.io/')) return 'milli';
  return !name.startsWith('requests.') && QUALIFIED.test(name) ? 'milli' : 'none';
}

/** Exact amounts of one or several resource lists. */
export class ExactAmounts {
  milliCpu: ExactAmount = 0;
  memory: ExactAmount = 0;
  /** Whole devices of both vendors. */
  gpu: ExactAmount = 0;
  /** All other names that count, zeros left out; null = none. */
  others: Map<string, ExactAmount> | null = null;

  add(name: string, amount: ExactAmount): void {
    switch (unitOf(name)) {
      case 'cpu':
        this.milliCpu = addExact(this.milliCpu, amount);
        break;
      case 'memory':
        this.memory = addExact(this.memory, amount);
        break;
      case 'gpu':
        this.gpu = addExact(this.gpu, amount);
        break;
      case 'value':
      case 'milli':
        this.#addOther(name, amount);
        break;
      default:
    }
  }

  addAll(other: ExactAmounts): void {
    this.milliCpu = addExact(this.milliCpu, other.milliCpu);
    this.memory = addExact(this.memory, other.memory);
    this.gpu = addExact(this.gpu, other.gpu);
    if (other.others !== null) for (const [name, amount] of other.others) this.#addOther(name, amount);
  }

  #addOther(name: string, amount: ExactAmount): void {
    // An explicit zero is an absent request (02 section 2.2, deviation).
    if (exactToMilliCeil(amount) === 0) return;
    this.others ??= new Map();
    const before = this.others.get(name);
    this.others.set(name, before === undefined ? amount : addExact(before, amount));
  }
}

/** Amounts in the units of the tables. */
export interface Amounts {
  milliCpu: number;
  memoryBytes: number;
  gpus: number;
  others: Map<string, number> | null;
}

export function toAmounts(exact: ExactAmounts): Amounts {
  let others: Map<string, number> | null = null;
  if (exact.others !== null) {
    others = new Map();
    for (const [name, amount] of exact.others) {
      others.set(name, unitOf(name) === 'value' ? exactToValueCeil(amount) : exactToMilliCeil(amount));
    }
  }
  return {
    milliCpu: exactToMilliCeil(exact.milliCpu),
    memoryBytes: exactToValueCeil(exact.memory),
    gpus: exactToValueCeil(exact.gpu),
    others,
  };
}

/** Element-wise maximum, in place. */
export function raiseTo(target: Amounts, other: Amounts): void {
  target.milliCpu = Math.max(target.milliCpu, other.milliCpu);
  target.memoryBytes = Math.max(target.memoryBytes, other.memoryBytes);
  target.gpus = Math.max(target.gpus, other.gpus);
  if (other.others === null) return;
  target.others ??= new Map();
  for (const [name, amount] of other.others) target.others.set(name, Math.max(target.others.get(name) ?? 0, amount));
}

/** Reads one quantity; undefined, with a problem, when it is unreadable or negative. */
function readQuantity(value: unknown, field: string, report: Report): ExactAmount | undefined {
  const amount = typeof value === 'string' || typeof value === 'number' ? parseExact(value) : undefined;
  if (amount === undefined) report.add(field, describeBadQuantity(value));
  else if (amount < 0) report.add(field, `negative: ${JSON.stringify(value)}`);
  else return amount;
  return undefined;
}

/** Exact amounts of a resource list; names that do not count are left out, unreadable quantities too, with a problem. */
export function readResources(list: ResourceList | null | undefined, field: string, report: Report): ExactAmounts {
  const amounts = new ExactAmounts();
  if (list === null || list === undefined) return amounts;
  for (const name of Object.keys(list)) {
    const amount = readQuantity(list[name], `${field}[${name}]`, report);
    if (amount !== undefined) amounts.add(name, amount);
  }
  return amounts;
}

/** Readable amounts of all names, zeros and unknown names included, in plain units; `readResources` reports the others. */
export function readPlain(list: ResourceList): PlainAmounts {
  const amounts: Record<string, number> = {};
  for (const name of Object.keys(list)) {
    const amount = parseExact(list[name] ?? '');
    if (amount !== undefined && amount >= 0) amounts[name] = plainAmount(name, amount);
  }
  return amounts;
}

/** Milli-CPU for "cpu", else the plain value, with its fraction where there is one: a fraction of a device is no request. */
function plainAmount(name: string, amount: ExactAmount): number {
  const milli = exactToMilliCeil(amount);
  if (name === 'cpu') return milli;
  const value = exactToValueCeil(amount);
  return milli < Number.MAX_SAFE_INTEGER && milli !== value * 1000 ? milli / 1000 : value;
}

export function amountsJson(amounts: ReadonlyMap<string, number> | null): string | null {
  return amounts === null || amounts.size === 0 ? null : canonicalJson(Object.fromEntries(amounts) satisfies AmountsJson);
}
