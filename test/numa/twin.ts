// The evaluation of spec 03 section 11A.4 once more, as plainly as possible: objects, all subsets, nothing kept.
type Row = Readonly<Record<string, number>>;

export interface TwinZone {
  readonly name: string;
  readonly allocatable: Row;
  readonly available: Row;
}

export interface TwinNode {
  readonly policy: 'single-numa-node' | 'restricted' | 'best-effort';
  readonly scope: 'pod' | 'container';
  /** In order. */
  readonly zones: readonly TwinZone[];
}

/** Requests in milli-CPU and plain values. */
export interface TwinPod {
  readonly isGuaranteed: boolean;
  readonly containers: readonly Row[];
  readonly init: readonly { readonly requests: Row; readonly isSidecar: boolean }[];
}

type Draws = Record<string, Record<string, number>>;

const get = (row: Row | undefined, name: string): number => row?.[name] ?? 0;

/** Amounts by zone and resource; null when the pod cannot be aligned. Only resources that a zone names count. */
export function twinPlacement(node: TwinNode, pod: TwinPod): Draws | null {
  const aware = [...new Set(node.zones.flatMap((z) => Object.keys(z.allocatable)))];
  const isDevice = (r: string): boolean => r !== 'cpu' && r !== 'memory';
  const aligned = pod.isGuaranteed ? aware : aware.filter(isDevice);
  const { concurrent, serial } = requestsOf(node, pod);
  const drawn: Draws = {};
  const free = (z: TwinZone, r: string): number => get(z.available, r) - get(drawn[z.name], r);
  for (const request of concurrent) {
    const mask = choose(node, aligned, request, free);
    if (mask === null) return null;
    for (const r of aligned) {
      let left = get(request, r);
      for (const z of mask) {
        const taken = Math.max(0, Math.min(free(z, r), left));
        if (taken === 0) continue;
        const row = drawn[z.name] ?? {};
        drawn[z.name] = row;
        row[r] = get(row, r) + taken;
        left -= taken;
      }
    }
  }
  for (const request of serial) if (choose(node, aligned, request, (z, r) => get(z.available, r)) === null) return null;
  return drawn;
}

function requestsOf(node: TwinNode, pod: TwinPod): { concurrent: readonly Row[]; serial: readonly Row[] } {
  const corrected = (row: Row): Row => ({ ...row, cpu: get(row, 'cpu') % 1000 === 0 ? get(row, 'cpu') : 0 });
  const sidecars = pod.init.filter((c) => c.isSidecar).map((c) => corrected(c.requests));
  const containers = pod.containers.map(corrected);
  if (node.scope === 'container') {
    return { concurrent: [...sidecars, ...containers], serial: pod.init.filter((c) => !c.isSidecar).map((c) => corrected(c.requests)) };
  }
  const names = [...new Set([...pod.containers, ...pod.init.map((c) => c.requests)].flatMap((row) => Object.keys(row)))];
  const total: Record<string, number> = {};
  for (const name of names) {
    let most = [...sidecars, ...containers].reduce((sum, row) => sum + get(row, name), 0);
    pod.init.forEach(({ requests, isSidecar }, i) => {
      if (isSidecar) return;
      const before = pod.init.slice(0, i).filter((c) => c.isSidecar);
      most = Math.max(
        most,
        [...before.map((c) => corrected(c.requests)), corrected(requests)].reduce((sum, row) => sum + get(row, name), 0),
      );
    });
    total[name] = most;
  }
  return { concurrent: [total], serial: [] };
}

function choose(node: TwinNode, aligned: readonly string[], request: Row, free: (z: TwinZone, r: string) => number): TwinZone[] | null {
  const wanted = aligned.filter((r) => get(request, r) > 0);
  if (wanted.length === 0) return [];
  if (node.policy === 'best-effort') return greedy(node.zones, wanted, request, free);
  const widths = new Set(node.policy === 'restricted' ? wanted.map((r) => widthOf(node.zones, r, get(request, r))) : [1]);
  if (widths.size !== 1) return null;
  const [width] = [...widths];
  const holds = (set: readonly TwinZone[]): boolean => wanted.every((r) => set.reduce((sum, z) => sum + free(z, r), 0) >= get(request, r));
  return subsets(node.zones, width!).find(holds) ?? null;
}

function widthOf(zones: readonly TwinZone[], r: string, amount: number): number {
  const sizes = zones.map((z) => get(z.allocatable, r)).sort((a, b) => b - a);
  for (let w = 1; w <= sizes.length; w++) if (sizes.slice(0, w).reduce((a, b) => a + b, 0) >= amount) return w;
  return Number.POSITIVE_INFINITY;
}

/** In lexicographic order. */
function subsets<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  if (size > items.length) return [];
  return items.flatMap((item, i) => subsets(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]));
}

function greedy(
  zones: readonly TwinZone[],
  wanted: readonly string[],
  request: Row,
  free: (z: TwinZone, r: string) => number,
): TwinZone[] | null {
  const missing = new Map(wanted.map((r) => [r, get(request, r)]));
  const mask: TwinZone[] = [];
  for (;;) {
    const open = [...missing].filter(([, amount]) => amount > 0);
    if (open.length === 0) return mask;
    const help = (z: TwinZone): number => open.reduce((sum, [r, amount]) => sum + Math.min(amount, free(z, r)), 0);
    const [best] = zones.filter((z) => !mask.includes(z) && help(z) > 0).sort((a, b) => help(b) - help(a));
    if (best === undefined) return null;
    mask.push(best);
    for (const [r, amount] of open) missing.set(r, amount - free(best, r));
  }
}
