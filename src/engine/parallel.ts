/** One search over all nodes: fill the columns of a class slot in the shared state for every node position. */
export interface SearchRequest {
  readonly shapeRow: number;
  readonly signatureRow: number;
  /** Class slot of the shared state whose columns are written. */
  readonly slot: number;
  /** Number of node positions. */
  readonly rows: number;
}

/** How the engine gets work done by other threads. It decides nothing: any split gives the same columns. */
export interface SearchPort {
  /** Fills the slot for positions [0, rows). `inline(from, to)` does a part on this thread; the rest may go elsewhere. */
  search(request: SearchRequest, inline: (from: number, to: number) => void): void;
}

/** Everything on the calling thread: `workers: 0`, and the twin that the parallel port is tested against. */
export const INLINE_PORT: SearchPort = Object.freeze({
  search(request: SearchRequest, inline: (from: number, to: number) => void): void {
    inline(0, request.rows);
  },
});
