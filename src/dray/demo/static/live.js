// Every element with data-live shows what that address gives, twice a second, until it says data-settled.
for (const place of document.querySelectorAll("[data-live]")) {
  let shown = "";
  const look = async () => {
    try {
      const answer = await fetch(place.dataset.live);
      const text = await answer.text();
      if (answer.ok && text !== shown) place.innerHTML = shown = text;
    } catch { /* the site is being restarted: the next look will tell */ }
    if (!place.querySelector("[data-settled]")) setTimeout(look, 500);
  };
  if (!place.querySelector("[data-settled]")) setTimeout(look, 500);
}
