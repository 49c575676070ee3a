/** What a caller asked of a tokenizer, or gave it as a file, is wrong. The message is one sentence for a person. */
export class TokenizerError extends Error {
  override readonly name = 'TokenizerError';
}
