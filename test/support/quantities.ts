import type { Container, Pod, Quantity, ResourceList } from '../../src/base/objects.ts';

const SUFFIX: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** A plain reading of quantities, exact for what tests write. `scale` 1000 gives milli-units, rounded up. */
function amountOf(quantity: Quantity | undefined, scale = 1): number {
  if (quantity === undefined) return 0;
  const match = /^([0-9.]+)([A-Za-z]*)$/.exec(String(quantity));
  const factor = SUFFIX[match?.[2] ?? '?'];
  if (match === null || factor === undefined) throw new Error(`test quantity ${quantity} is not understood`);
  const value = Number(match[1]) * scale * factor;
  return Math.ceil(Number(value.toFixed(6)));
}

/** Amounts by name: `cpu` in milli-CPU, `memory` in bytes, `gpu` in devices, every other name in its own unit. */
export type Amounts = Record<string, number>;

export function amountsOf(list: ResourceList | null | undefined): Amounts {
  const out: Amounts = {};
  for (const [name, quantity] of Object.entries(list ?? {})) {
    const isGpu = name === 'nvidia.com/gpu' || name === 'amd.com/gpu';
    const key = isGpu ? 'gpu' : name;
    out[key] = (out[key] ?? 0) + amountOf(quantity, name === 'cpu' ? 1000 : 1);
  }
  return out;
}

export function addInto(target: Amounts, more: Amounts): void {
  for (const [name, amount] of Object.entries(more)) target[name] = (target[name] ?? 0) + amount;
}

function maxInto(target: Amounts, other: Amounts): void {
  for (const [name, amount] of Object.entries(other)) target[name] = Math.max(target[name] ?? 0, amount);
}

/** What a pod asks for (spec 02 section 2.2): containers and sidecars summed, init containers maxed, overhead on top. */
export function requestOf(pod: Pod): Amounts {
  const requests = (c: Container): Amounts => amountsOf(c.resources?.requests);
  const main: Amounts = {};
  const side: Amounts = {};
  const peak: Amounts = {};
  for (const container of pod.spec.containers ?? []) addInto(main, requests(container));
  for (const container of pod.spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') addInto(side, requests(container));
    else {
      const sum = { ...side };
      addInto(sum, requests(container));
      maxInto(peak, sum);
    }
  }
  addInto(main, side);
  maxInto(main, peak);
  const { gpu: _gpu, ...overhead } = amountsOf(pod.spec.overhead);
  addInto(main, overhead);
  main.pods = 1;
  return main;
}
