/** Row numbers of the tables. Branded, so that a node's row cannot be passed where a pod's is meant. */
declare const brand: unique symbol;
type Row<Name extends string> = number & { readonly [brand]: Name };

export type TextRow = Row<'text'>;
export type NodeRow = Row<'node'>;
export type PodRow = Row<'pod'>;
export type PodGroupRow = Row<'podGroup'>;

/** "No such row": the value of an absent foreign key. */
export const NO_ROW = -1;
