import { SignatureFlag } from '../../base/codes.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { readConstraints } from './labels.ts';

const ALL_ADDRESSES = '0.0.0.0';
const NO_ENTRIES = new Int32Array(0);

/**
 * Host ports in use per node (spec 03 section 7.3 step 6, upstream NodePorts). A port is (protocol, number); it is taken
 * by (address, port), and the address 0.0.0.0 stands for all. Counts, so that add and remove are exact inverses in any order.
 */
export class HostPortIndex {
  private readonly podSignatureRow: Int32Array;
  /** Per signature with host ports: pairs (port id, address-and-port id). */
  private readonly entriesOf = new Map<number, Int32Array>();
  /** Address-and-port id of 0.0.0.0 per port id. */
  private readonly wildcardOf: number[] = [];
  private readonly nodeCount: number;
  /** Users per (port id, node) and per (address-and-port id, node): key = id × nodeCount + node. Zero counts are deleted. */
  private readonly portUsers = new Map<number, number>();
  private readonly entryUsers = new Map<number, number>();

  constructor(view: SnapshotView, nodeCount: number) {
    this.podSignatureRow = view.pods.signatureRow;
    this.nodeCount = nodeCount;
    const ids = new Map<string, number>();
    const ports = new Map<string, number>();
    const { rows, used, flags } = view.signatures;
    for (let row = 0; row < rows; row++) {
      if (used[row] !== 1 || (flags[row]! & SignatureFlag.hostPorts) === 0) continue;
      const entries = this.compile(view, row, ports, ids);
      if (entries.length > 0) this.entriesOf.set(row, entries);
    }
  }

  /** Whether the pod asks for a host port at all. */
  needs(podRow: number): boolean {
    return this.entriesOf.has(this.podSignatureRow[podRow]!);
  }

  /** The pod is on the node at position `node`, whatever its status. */
  add(podRow: number, node: number): void {
    this.change(podRow, node, 1);
  }

  /** Takes back one `add` of the same arguments. */
  remove(podRow: number, node: number): void {
    this.change(podRow, node, -1);
  }

  /** Whether a port of the pod is taken on the node. */
  conflicts(podRow: number, node: number): boolean {
    const entries = this.entriesOf.get(this.podSignatureRow[podRow]!);
    if (entries === undefined) return false;
    for (let i = 0; i < entries.length; i += 2) {
      const port = entries[i]!;
      const entry = entries[i + 1]!;
      const wildcard = this.wildcardOf[port]!;
      if (entry === wildcard) {
        if (this.portUsers.has(port * this.nodeCount + node)) return true;
      } else if (this.entryUsers.has(entry * this.nodeCount + node) || this.entryUsers.has(wildcard * this.nodeCount + node)) {
        return true;
      }
    }
    return false;
  }

  private change(podRow: number, node: number, delta: number): void {
    const entries = this.entriesOf.get(this.podSignatureRow[podRow]!);
    if (entries === undefined) return;
    for (let i = 0; i < entries.length; i += 2) {
      addTo(this.portUsers, entries[i]! * this.nodeCount + node, delta);
      addTo(this.entryUsers, entries[i + 1]! * this.nodeCount + node, delta);
    }
  }

  private compile(view: SnapshotView, signatureRow: number, ports: Map<string, number>, ids: Map<string, number>): Int32Array {
    const wanted = (readConstraints(view, signatureRow).hostPorts ?? []).filter((p) => p.hostPort > 0);
    if (wanted.length === 0) return NO_ENTRIES;
    const out = new Int32Array(2 * wanted.length);
    wanted.forEach(({ hostIP, protocol, hostPort }, i) => {
      const portKey = `${protocol || 'TCP'}/${hostPort}`;
      const port = intern(ports, portKey);
      this.wildcardOf[port] = intern(ids, `${ALL_ADDRESSES}/${portKey}`);
      out[2 * i] = port;
      out[2 * i + 1] = intern(ids, `${hostIP || ALL_ADDRESSES}/${portKey}`);
    });
    return out;
  }
}

function intern(ids: Map<string, number>, key: string): number {
  const known = ids.get(key);
  if (known !== undefined) return known;
  ids.set(key, ids.size);
  return ids.size - 1;
}

function addTo(counts: Map<number, number>, key: number, delta: number): void {
  const next = (counts.get(key) ?? 0) + delta;
  if (next === 0) counts.delete(key);
  else counts.set(key, next);
}
