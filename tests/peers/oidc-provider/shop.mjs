// The shop that the tokens are for. It knows nothing of the authorization server but how to verify a token.

const products = [
  { id: 'phone-1', name: 'Pebble One', category: 'phones', price: '249.00', currency: 'EUR', stock: 12 },
  { id: 'phone-2', name: 'Slate Pro', category: 'phones', price: '899.00', currency: 'EUR', stock: 3 },
  { id: 'laptop-1', name: 'Crumb 11', category: 'laptops', price: '279.90', currency: 'EUR', stock: 7 },
  { id: 'tea-1', name: 'Tea', category: 'teas', price: '3.00', currency: 'EUR', stock: 99 },
];

export function openShop(verify, wantsDetails) {
  const orders = [];
  const byKey = new Map();

  const find = (text) => products.find((one) => [one.id, one.name, one.category].some((name) => name.toLowerCase() === text.toLowerCase()));

  async function claims(request, scope) {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (!token) return [401, 'no token'];
    try {
      const payload = await verify(token);
      return (payload.scope ?? '').split(' ').includes(scope) ? [200, payload] : [403, `the token lacks ${scope}`];
    } catch (error) {
      return [401, String(error.code ?? error)];
    }
  }

  function list(query) {
    const text = (query.get('query') ?? '').toLowerCase();
    const most = Number(query.get('max_price') ?? Infinity);
    const fits = (one) => `${one.name} ${one.category}`.toLowerCase().includes(text) && Number(one.price) <= most;
    return { products: products.filter(fits) };
  }

  function order(request, body, payload) {
    const key = request.headers['idempotency-key'];
    if (!key) return [400, { error: 'no Idempotency-Key' }];
    if (byKey.has(key)) return [200, byKey.get(key)];
    const details = (payload.authorization_details ?? []).find((one) => one.type === 'purchase');
    const allowed = details?.arguments;
    if (wantsDetails && (!allowed || allowed.product !== body.product || Number(allowed.qty) !== Number(body.qty))) {
      return [403, { error: 'what was approved is not what is ordered' }];
    }
    const product = find(String(body.product));
    if (!product) return [404, { error: 'no such product' }];
    const total = (Number(product.price) * Number(body.qty)).toFixed(2);
    if (body.priceLimit != null && Number(total) > Number(body.priceLimit)) return [409, { error: 'above the price limit' }];
    const placed = { order_id: `ord_${orders.length + 81}`, product: product.name, qty: Number(body.qty), total, currency: 'EUR' };
    orders.push({ ...placed, key, sub: payload.sub, client_id: payload.client_id, digest: details?.digest });
    byKey.set(key, placed);
    return [201, placed];
  }

  async function serve(request, url, body) {
    const buying = url.pathname === '/shop/orders' && request.method === 'POST';
    const reading = url.pathname === '/shop/products' && request.method === 'GET';
    if (!buying && !reading) return [404, { error: 'no such page' }];
    const [status, payload] = await claims(request, buying ? 'product:buy' : 'product:read');
    if (status !== 200) return [status, { error: payload }];
    return buying ? order(request, body, payload) : [200, list(url.searchParams)];
  }

  return { orders, serve };
}
