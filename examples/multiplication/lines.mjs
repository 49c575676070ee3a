/** The pairs that are asked: 2 … 99 times 2 … 9. */
export const pairs = Array.from({ length: 98 * 8 }, (_, i) => ({ x: 2 + Math.floor(i / 8), y: 2 + (i % 8) }));

/** What a line begins with, and a model is asked: `48*7=`. */
export const question = ({ x, y }) => `${x}*${y}=`;

const twoDigits = (number) => String(number).padStart(2, '0');

/** What follows the question, to the letter, by how the product is written. */
export const ways = {
  /** The product at once: each line is a fact of its own. */
  plain: ({ x, y }) => String(x * y),
  /**
   * As on paper: 48*7=28,56,8+5=13,2+1=3:336. Tens times y and ones times y; then column by column what stands in it plus
   * what was carried. Each number has its places, and each follows from two digits before it.
   */
  worked: ({ x, y }) => {
    const [carried, ones] = twoDigits((x % 10) * y);
    const [hundreds, tens] = twoDigits(Math.floor(x / 10) * y);
    const [over, middle] = twoDigits(Number(tens) + Number(carried));
    const top = Number(hundreds) + Number(over);
    const columns = `${tens}+${carried}=${over}${middle},${hundreds}+${over}=${top}`;
    return `${hundreds}${tens},${carried}${ones},${columns}:${top}${middle}${ones}`;
  },
};
