// What the scheduler loop asks of a binder. Lives here, below both: the loop imports the binder, never the other way.
import type { DecisionDetails } from '../base/decisions.ts';
import type { ListName, Pod } from '../base/objects.ts';

/** One decided binding. Everything in it is as observed at the moment of the order. */
export interface BindOrder {
  /** "namespace/name" */
  readonly key: string;
  /** The pod as last seen, still without a node; `metadata.uid` is set. */
  readonly pod: Pod;
  readonly node: string;
  /** ReceivedType code of base/codes.ts. */
  readonly receivedType: number;
  /** Devices; 0 for CPU-only, MIG and pure claim pods. */
  readonly gpuCount: number;
  /** Share of each device as text with two decimals ("0.50"). */
  readonly gpuPortion: string;
  /** One id per device; only for shared GPUs. */
  readonly gpuGroups: readonly string[];
  /** Claim allocations, extended-resource claim, predicted NUMA zones. */
  readonly details: DecisionDetails | undefined;
  /** "namespace/name" of the pod group, '' unknown. */
  readonly podGroup: string;
  /** Value of the shard's node-pool label, '' without one. */
  readonly nodePool: string;
  /** Aborted when the process is to end or the pod is gone: give up at the next step that can be given up, and roll back. */
  readonly signal: AbortSignal;
}

/** How an order ended. A binder never rejects. */
export type BindOutcome =
  /** The API server took the binding, or the pod was found bound to this very node. */
  | { readonly kind: 'bound' }
  /** A BindRequest was written for another binder; the pod counts as binding until that binder is done. */
  | { readonly kind: 'requested' }
  /** The pod does not exist any more, is another one (UID) or is being deleted. Nothing is told to anybody. */
  | { readonly kind: 'gone' }
  /** Somebody else has bound the pod to another node. Nothing is told to anybody. */
  | { readonly kind: 'boundElsewhere'; readonly node: string }
  /** All that was done has been undone. `message` is a sentence for people: the text after the colon of `BindingError`. */
  | { readonly kind: 'failed'; readonly message: string };

export interface PodBinder {
  bind(order: BindOrder): Promise<BindOutcome>;
}

/** Read side of the objects that the scheduler watches, as last seen; keys "namespace/name", cluster-scoped "name". */
export interface ObservedCluster {
  get(list: ListName, key: string): unknown;
  keys(list: ListName): IterableIterator<string>;
  /** Keys of the pods that are on the node or being bound to it. */
  podsOnNode(node: string): Iterable<string>;
  /** Calls back after each change; `object` undefined = removed. Returns how to stop it. */
  onChange(listener: (list: ListName, key: string, object: unknown) => void): () => void;
}
