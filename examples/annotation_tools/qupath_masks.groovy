// QuPath 0.4 and later: adds the lesion of the selected annotation's box, or of the whole image, as annotations,
// from a running `mlffm-segdiff serve --port 8000`. Run it in Automate, Script editor.
import com.google.gson.JsonObject
import java.awt.geom.AffineTransform
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import javax.imageio.ImageIO
import qupath.lib.io.GsonTools
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjectTools
import qupath.lib.regions.RegionRequest

def address = "http://127.0.0.1:8000/api/v1/segment"
def key = ""  // the server's API key, if it has one
def mostPixels = 40e6  // below the server's --max-megapixels

def server = getCurrentServer()
def roi = getSelectedROI()
def pixels = roi == null ? (double) server.getWidth() * server.getHeight() : roi.getBoundsWidth() * roi.getBoundsHeight()
def downsample = Math.max(1.0d, Math.sqrt(pixels / mostPixels))
def region = roi == null
    ? RegionRequest.createInstance(server, downsample)
    : RegionRequest.createInstance(server.getPath(), downsample, roi)

def png = new ByteArrayOutputStream()
ImageIO.write(server.readRegion(region), "PNG", png)
def request = HttpRequest.newBuilder(URI.create(address))
    .header("Content-Type", "image/png")
    .header("Accept", "application/json")
    .POST(HttpRequest.BodyPublishers.ofByteArray(png.toByteArray()))
if (key) request.header("X-API-Key", key)
def reply = HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString())
if (reply.statusCode() != 200) throw new RuntimeException(reply.body())

// Contours are a GeoJSON FeatureCollection in pixels of the region, with QuPath's objectType and classification.
def gson = GsonTools.getInstance()
def features = gson.fromJson(reply.body(), JsonObject).getAsJsonObject("contours").getAsJsonArray("features")
def place = new AffineTransform(downsample, 0, 0, downsample, region.getX(), region.getY())
addObjects(features.collect { PathObjectTools.transformObject(gson.fromJson(it, PathObject), place, true) })
println "${features.size()} annotations added"
