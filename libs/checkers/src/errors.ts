/** A position or a move that cannot be. The message is one sentence for a person. */
export class CheckersError extends Error {
  override readonly name = 'CheckersError';
}
