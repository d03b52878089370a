package reports

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"aftershock/reports/paper"
)

// Form writes the review of the week in one of the Forms; browser prints it as PDF.
func (w Week) Form(ctx context.Context, form, browser string) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch form {
	case FormMarkdown:
		err = w.Markdown(&b)
	case FormJSON:
		err = w.JSON(&b)
	case FormHTML, FormPDF:
		err = w.HTML(&b)
	default:
		return nil, fmt.Errorf("%.20q is no form of a review", form)
	}
	if err != nil || form != FormPDF {
		return b.Bytes(), err
	}
	return paper.Print(ctx, browser, b.Bytes(), w.Now)
}

// FileName is that of the review of the week in a form.
func (w Week) FileName(form string) string { return "week-" + w.Name + "." + form }

// Write puts the review into the directory in each of the forms and answers the paths. A
// file is replaced as a whole or not at all.
func (w Week) Write(ctx context.Context, dir string, forms []string, browser string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory for reviews: %w", err)
	}
	var paths []string
	for _, form := range forms {
		b, err := w.Form(ctx, form, browser)
		if err != nil {
			return paths, err
		}
		path := filepath.Join(dir, w.FileName(form))
		if err := replace(path, b); err != nil {
			return paths, fmt.Errorf("write the review: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// MediaType is that of a form.
func MediaType(form string) string {
	switch form {
	case FormHTML:
		return "text/html; charset=utf-8"
	case FormMarkdown:
		return "text/markdown; charset=utf-8"
	case FormPDF:
		return "application/pdf"
	}
	return "application/json"
}
