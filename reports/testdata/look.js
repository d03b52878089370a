// The background of the page, and what is wrong with how it looks.
(() => {
	const said = [getComputedStyle(document.body).backgroundColor];
	const page = document.documentElement;
	if (page.scrollWidth > page.clientWidth) said.push(`it is ${page.scrollWidth} px wide, ${page.clientWidth} are there`);
	for (const picture of document.querySelectorAll("svg.pic")) {
		const box = picture.getBoundingClientRect();
		if (!(box.width > 0 && box.height > 0) || !picture.checkVisibility()) said.push(`a picture isn't to be seen: ${picture.getAttribute("aria-label")}`);
		const texts = [...picture.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
		texts.forEach(([name, a], n) => {
			if (a.left < 0 || a.right > page.clientWidth) said.push(`“${name}” is cut`);
			for (const [other, b] of texts.slice(n + 1)) {
				const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
				// Boxes hold room for accents and descenders, which may touch.
				if (wide > 0.5 && high > 4) said.push(`“${name}” and “${other}” overlap`);
			}
		});
	}
	return said;
})()
